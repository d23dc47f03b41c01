import type { Config } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { loadConfig } from '../config/load-config.ts';
import { type Fault, formatFault } from '../platform/fault.ts';
import type { HomePaths } from './home.ts';
import { printLine, type Terminal } from './terminal.ts';

/** The configuration, or undefined after printing everything that is wrong with it. */
export async function loadOrPrint(
  paths: HomePaths,
  environment: Environment,
  terminal: Terminal,
  readsSecrets: boolean,
  servesClients = false,
): Promise<Config | undefined> {
  const loaded = await loadConfig({ directory: paths.home, environment, readsSecrets, servesClients });
  if ('value' in loaded) return loaded.value;
  printFaults(loaded.faults, terminal);
  return undefined;
}

export function printFaults(faults: readonly Fault[], { stderr }: Terminal): void {
  for (const fault of faults) printLine(stderr, formatFault(fault));
}
