import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { type Config, settingsFor } from '../config/config.ts';
import { type HomePaths, pathsIn, type Role } from '../config/home.ts';
import { leaveNoMemory, nodeFlags } from '../launch/confinement.ts';
import { examineHome } from '../launch/examine-home.ts';
import { inheritedSockets, listeningOn, stdioWith } from '../launch/inherited-sockets.ts';
import { Interruption } from '../launch/interruption.ts';
import { loadOrPrint, printFaults, printWarnings } from '../launch/load.ts';
import { tooFewOpenFiles } from '../launch/open-files.ts';
import { withFreePorts } from '../launch/ports.ts';
import { type PreparedStart, prepareStart, printFirst } from '../launch/prepare.ts';
import { returnMemory } from '../launch/return-memory.ts';
import { environmentOf, takeEnvironment } from '../launch/role-environment.ts';
import { runRole } from '../launch/run-role.ts';
import type { ExitCode, Terminal } from '../launch/terminal.ts';
import { createLogger } from '../platform/log.ts';
import { roleProcess } from '../supervisor/role-process.ts';
import { type RolePlan, supervise } from '../supervisor/supervise.ts';
import { printWelcome } from './welcome.ts';

export interface StartOptions {
  readonly home: string;
  /** The one role to start; if it is absent, all roles are started. */
  readonly role?: Role;
}

const ROLE_BIN = path.join(import.meta.dirname, '../bin/role.ts');

/** Starts Hubgate, or one role of it, and returns after a signal has ended it. */
export async function start(options: StartOptions, terminal: Terminal): Promise<ExitCode> {
  // Files belong to this user, and the group that the roles may share can read them.
  process.umask(0o027);
  leaveNoMemory();
  // Without a listener, the signal would start Node's debugger.
  process.on('SIGUSR1', () => {});
  const tooFew = tooFewOpenFiles();
  if (tooFew !== undefined) throw new Error(tooFew);
  const paths = pathsIn(options.home);
  const readsSecrets = options.role === undefined || options.role === 'core';
  const servesClients = options.role === undefined || options.role === 'gateway';
  const sockets = inheritedSockets(process.env);
  const needsNoDatabase = options.role === 'gateway' || options.role === 'account';
  const scope = { readsSecrets, servesClients, needsNoDatabase, secretsOf: options.role ?? 'all' } as const;
  const environment = takeEnvironment();
  const config = await loadOrPrint(paths, environment, terminal, scope);
  if (config === undefined) return 2;
  const { faults } = await examineHome(config, paths, { role: options.role, isStart: true });
  printFaults(faults, terminal);
  if (faults.length > 0) return 2;
  const prepared = await prepareStart(config, paths, options.role && { role: options.role });
  // As soon as somebody sees the password, they may end the mirror, and it must end in good order.
  using interruption = new Interruption();
  // The password is printed before anything can fail, because it exists from now on and is never shown again.
  await printFirst(prepared, paths, environment, terminal);
  // This check comes after the renewal of certificates that were due.
  const { refusals, warnings } = await examineHome(config, paths, { role: options.role, isStart: true });
  printWarnings([...refusals, ...warnings], terminal);
  if (options.role !== undefined && options.role !== 'gateway' && options.role !== 'account')
    return runHere(options.role, config, paths, interruption);
  const { signal } = interruption;
  const log = createLogger('supervisor', config.log);
  const onHangup = takeHangups(interruption);
  const gateway =
    options.role === 'account'
      ? config
      : await withFreePorts(listeningOn(settingsFor('gateway', config), sockets));
  const starting = supervise(plans({ config, gateway, paths, only: options.role, sockets }), log).catch(
    (error) => {
      // Ctrl-C also reaches the roles, and they end before they can tell it from a failure.
      if (!signal.aborted) throw error;
    },
  );
  // There is nothing else to do while the roles start.
  returnMemory();
  const supervision = await starting;
  if (supervision === undefined) return 0;
  onHangup(() => supervision.reload());
  flushCompileCache();
  if (options.role === undefined && !signal.aborted) await welcome(config, paths, prepared, terminal);
  await aborted(signal);
  log.info('ending; downloads under way have 30 s');
  await supervision.stop();
  return 0;
}

/** Prints the answers of the upstreams when they come. A start does not wait for them. */
async function welcome(
  config: Config,
  paths: HomePaths,
  prepared: PreparedStart,
  terminal: Terminal,
): Promise<void> {
  await printWelcome(config, paths, prepared, terminal);
  if (config.coreUrl !== undefined || terminal.stdout.isTTY !== true) return;
  // A service, whose log says the same, does not need the memory of this code.
  const { printReachability } = await import('./reachability.ts');
  // A core that ends meanwhile says why itself.
  void printReachability(paths, terminal).catch(() => {});
}

async function runHere(
  role: Role,
  config: Config,
  paths: HomePaths,
  interruption: Interruption,
): Promise<ExitCode> {
  const onHangup = takeHangups(interruption);
  await using running = await runRole(role, config, paths);
  onHangup(() => void running.reload?.());
  returnMemory();
  await aborted(interruption.signal);
  return 0;
}

interface Plans {
  readonly config: Config;
  /** The configuration with the changes that gateways need. */
  readonly gateway: Config;
  readonly paths: HomePaths;
  readonly only: Role | undefined;
  readonly sockets: readonly number[];
}

/**
 * Returns the processes of the roles, beginning with those on which others depend. All get the configuration
 * that was read once; a later edit counts for a later start.
 */
function plans({ config, gateway, paths, only, sockets }: Plans): RolePlan[] {
  const plan = (role: Role, settings: Config, name: string = role): RolePlan => ({
    name,
    spawn: () => {
      const execArgv = nodeFlags(role, config, paths);
      const stdio = stdioWith(role === 'gateway' ? sockets : []);
      const options = { env: environmentOf(role, paths), execArgv, stdio };
      return roleProcess(fork(ROLE_BIN, ['--role', role, '--home', paths.home], options), settings);
    },
  });
  const id = randomUUID();
  const count = gatewayCount(config);
  const gateways = Array.from({ length: count }, (_, index) => {
    const number = index + 1;
    const settings =
      count === 1 ? gateway : { ...sharingPorts(gateway), place: { number, count, start: id } };
    return plan('gateway', settings, `gateway ${number}`);
  });
  if (only === 'gateway') return gateways;
  const account = plan('account', settingsFor('account', config));
  if (only === 'account') return [account];
  const core = config.coreUrl === undefined ? [plan('core', config)] : [];
  return [...core, plan('auth', settingsFor('auth', config)), ...gateways, { ...account, isOptional: true }];
}

/** There is only one gateway if the kernel does not distribute connections among processes. */
function gatewayCount({ server: { workers } }: Config): number {
  if (!SHARES_PORTS.has(process.platform)) return 1;
  return workers === 'auto' ? availableParallelism() : workers;
}

/** The platforms that support `reusePort`, https://nodejs.org/api/net.html#serverlistenoptions-callback. */
const SHARES_PORTS: ReadonlySet<NodeJS.Platform> = new Set(['linux', 'freebsd']);

/** Makes each gateway listen for itself: see decision 7. */
function sharingPorts(config: Config): Config {
  const { server } = config;
  const listen = { ...server.listen, reusePort: true };
  const admin = { ...server.admin, reusePort: true };
  const plain = server.plain && { ...server.plain, reusePort: true };
  return { ...config, server: { ...server, listen, admin, ...(plain && { plain }) } };
}

/**
 * Handles SIGHUP from now on, because without a handler it would end the process: it reloads, or ends the
 * mirror if its terminal has gone. A signal during the start is handled as soon as there is something to
 * reload.
 *
 * @returns a function that sets what a reload does
 */
function takeHangups(interruption: Interruption): (reload: () => void) => void {
  const hasTerminal = process.stdout.isTTY === true;
  let isDue = false;
  let serve = () => {
    isDue = true;
  };
  process.on('SIGHUP', () => (hasTerminal && isTerminalGone() ? interruption.interrupt() : serve()));
  return (reload) => {
    serve = reload;
    if (isDue) reload();
  };
}

/** True if a process that had a terminal has lost it: tty(4) names the errors ENXIO and EIO. */
function isTerminalGone(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return false;
  } catch {
    return true;
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}
