import { unusedRules } from '../../access/replay.ts';
import type { Environment } from '../../config/environment.ts';
import { duration } from '../../config/values.ts';
import { systemClock } from '../../platform/clock.ts';
import { pathsIn } from '../home.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../terminal.ts';
import { auditedPulls } from './audited-pulls.ts';
import { type AccessOptions, openPolicy, shownRule, writeRule } from './policy.ts';

export interface UnusedOptions extends AccessOptions {
  readonly since: string;
}

/** Lists the rules that no audited pull needed. */
export async function listUnusedRules(
  options: UnusedOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const since = duration().safeParse(options.since).data;
  if (since === undefined) {
    printLine(terminal.stderr, `hubgate: "${options.since}" is no duration such as 30d`);
    return 2;
  }
  const read = await openPolicy(paths, environment, terminal);
  if (read === undefined) return 2;
  const pulls = [];
  for await (const pull of auditedPulls(read.config.log.audit, systemClock() - since)) pulls.push(pull);
  // With an empty record every rule would be unused.
  const unused = pulls.length === 0 ? [] : unusedRules(read.policy, pulls);
  if (options.json) {
    printJson(terminal.stdout, {
      pulls: pulls.length,
      audited: pulls.length > 0,
      unused: unused.map(({ rule, why }) => ({ ...shownRule(rule, paths), why })),
    });
    return 0;
  }
  if (pulls.length === 0) {
    printLine(
      terminal.stdout,
      `nothing has been audited in the last ${options.since} (${read.config.log.audit}), so nobody can say which rules are unused`,
    );
    return 0;
  }
  for (const { rule, why } of unused) {
    const reason = why === 'redundant' ? 'others allow the same' : 'no pull matched it';
    printLine(terminal.stdout, `${writeRule(rule, paths)}  ${reason}`);
  }
  printLine(terminal.stdout, `unused rules: ${unused.length}  audited pulls since then: ${pulls.length}`);
  return 0;
}
