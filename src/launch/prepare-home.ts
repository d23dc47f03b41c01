import type { Environment } from '../config/environment.ts';
import { pathsIn, type Role } from '../config/home.ts';
import { loadOrPrint } from './load.ts';
import { prepareStart, printFirst } from './prepare.ts';
import { type ExitCode, printLine, type Terminal } from './terminal.ts';

export interface PrepareOptions {
  readonly home: string;
  /** The role whose part of the home is made; if it is absent, all parts are. */
  readonly role?: Role;
}

/**
 * Makes what is missing in a home, as a start does. It is for roles that may not make it themselves: the
 * gateway's user needs neither to write `certs/` nor to read the key of the local CA.
 */
export async function prepareHome(
  options: PrepareOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  process.umask(0o027);
  const paths = pathsIn(options.home);
  const scope = { readsSecrets: false, servesClients: false, needsNoDatabase: options.role === 'gateway' };
  const config = await loadOrPrint(paths, environment, terminal, scope);
  if (config === undefined) return 2;
  const prepared = await prepareStart(config, paths, {
    ...(options.role && { role: options.role }),
    isAskedFor: true,
  });
  await printFirst(prepared, paths, environment, terminal);
  printLine(
    terminal.stdout,
    `${paths.home}: nothing is missing${options.role ? ` for ${options.role}` : ''}`,
  );
  return 0;
}
