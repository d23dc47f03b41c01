import { readFiles, readSources } from '../../access/load-policy.ts';
import { parseRules } from '../../access/policy-file.ts';
import { failingTests } from '../../access/policy-test.ts';
import type { Environment } from '../../config/environment.ts';
import { inHome, pathsIn } from '../../config/home.ts';
import { policyContext } from '../../config/policy-context.ts';
import { loadOrPrint } from '../../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../../launch/terminal.ts';
import { systemClock } from '../../platform/clock.ts';
import { formatFault } from '../../platform/fault.ts';
import { type AccessOptions, valueOrPrint } from './policy.ts';

/**
 * Runs the tests of a home's policy, or of `files`, which are read as one policy. Returns 1 if a test fails,
 * and 2 if a file is not a policy.
 */
export async function testAccess(
  files: readonly string[],
  options: AccessOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const sources = valueOrPrint(
    files.length === 0 ? await readSources(paths.policy) : await readFiles(files, process.cwd()),
    paths,
    terminal,
  );
  const config = await loadOrPrint(paths, environment, terminal);
  if (sources === undefined || config === undefined) return 2;
  const read = valueOrPrint(parseRules(sources, policyContext(config)), paths, terminal);
  if (read === undefined) return 2;
  const failed = failingTests(read.policy, read.tests, systemClock()).map((fault) => {
    return { ...fault, source: inHome(fault.source, paths) };
  });
  const passed = read.tests.length - failed.length;
  if (options.json) printJson(terminal.stdout, { passed, failed });
  else {
    for (const fault of failed) printLine(terminal.stderr, formatFault(fault));
    printLine(terminal.stdout, `tests: ${read.tests.length}  passed: ${passed}  failed: ${failed.length}`);
  }
  return failed.length === 0 ? 0 : 1;
}
