import { readPolicy } from '../access/live-policy.ts';
import { readUsers } from '../auth/identity/users-file.ts';
import type { Environment } from '../config/environment.ts';
import { loadConfig } from '../config/load-config.ts';
import { byPosition, type Fault, type Parsed } from '../platform/fault.ts';
import { pathsIn } from './home.ts';
import { printFaults } from './load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from './terminal.ts';

export interface CheckOptions {
  readonly home: string;
  readonly json: boolean;
}

/** Finds everything that is wrong with the three hand-written files, and changes nothing. */
export async function check(
  options: CheckOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const results: readonly Parsed<unknown>[] = [
    await loadConfig({ directory: paths.home, environment, readsSecrets: true }),
    await readPolicy(paths.policy),
    await readUsers(paths.users),
  ];
  const faults = results.flatMap((result): readonly Fault[] => ('faults' in result ? result.faults : []));
  const sorted = faults.map((fault) => inHome(fault, paths.home)).sort(byPosition);
  if (options.json) printJson(terminal.stdout, { faults: sorted });
  else if (sorted.length > 0) printFaults(sorted, terminal);
  else printLine(terminal.stdout, 'hubgate.yaml, access.yaml and users.yaml: nothing is wrong');
  return sorted.length === 0 ? 0 : 2;
}

function inHome(fault: Fault, home: string): Fault {
  return {
    ...fault,
    source: fault.source.startsWith(`${home}/`) ? fault.source.slice(home.length + 1) : fault.source,
  };
}
