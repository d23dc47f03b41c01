import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import type { HomePaths, Role } from '../config/home.ts';
import { loadConfig } from '../config/load-config.ts';
import { type Fault, formatFault } from '../platform/fault.ts';
import { tooOpen } from '../platform/secret-file.ts';
import { whoMustRun } from './explain-error.ts';
import { secretFilesOf } from './secret-files.ts';
import { printLine, type Terminal } from './terminal.ts';

/** The parts of a home that the caller uses, and that must therefore be in order. */
interface LoadScope {
  readonly readsSecrets: boolean;
  readonly servesClients: boolean;
  /** True if only roles are started or prepared that need not know the database of the cluster. */
  readonly needsNoDatabase?: boolean;
  /** The role whose secret files are checked. */
  readonly secretsOf?: Role | 'all';
}

const NOTHING_MORE: LoadScope = { readsSecrets: false, servesClients: false };

/**
 * Loads the configuration. Returns undefined after printing everything that is wrong with it, and with the
 * modes of secret files.
 */
export async function loadOrPrint(
  paths: HomePaths,
  environment: Environment,
  terminal: Terminal,
  { secretsOf, ...scope }: LoadScope = NOTHING_MORE,
): Promise<Config | undefined> {
  const loaded = await loadConfig({
    directory: paths.home,
    environment,
    ...scope,
    judgesModes: secretsOf !== undefined,
  });
  const config = 'value' in loaded ? loaded.value : undefined;
  const files = secretsOf === undefined ? [] : secretFilesOf(secretsOf, paths);
  const faults = [...('faults' in loaded ? loaded.faults : []), ...(await tooOpen(files))];
  printFaults(faults, terminal, paths.home);
  return faults.length === 0 ? config : undefined;
}

/** Prints warnings, which do not stop a command. */
export function printWarnings(warnings: readonly Fault[], { stderr }: Terminal): void {
  for (const warning of warnings) printLine(stderr, `${formatFault(warning)} (a warning)`);
}

export function printFaults(faults: readonly Fault[], { stderr }: Terminal, home?: string): void {
  for (const fault of faults) printLine(stderr, formatFault(fault));
  if (home !== undefined && faults.some(({ message }) => message.includes('permission denied')))
    printLine(stderr, `hubgate: ${whoMustRun(home)}`);
}
