import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/config.ts';
import type { HomePaths, Role } from '../config/home.ts';

/** The code: `src` of a checkout, or `lib` of a package. */
const CODE = path.join(import.meta.dirname, '..');

/** The checkout, or the installed package. */
const ROOT = path.join(CODE, '..');

/**
 * The directory of its packages. It is beside the root, not below it, if Hubgate is itself a package in
 * another program.
 */
const MODULES = fileURLToPath(import.meta.resolve('pino')).replace(
  /(?<=.*\/node_modules\/)(?!.*\/node_modules\/).*/,
  '*',
);

/**
 * The sizes in MiB of the space for young objects; V8 would take three times 16. This memory is never
 * returned. With less than this, the gateway and auth spend more time on garbage collection; with more, they
 * save none.
 */
const YOUNG: Readonly<Record<Role, number>> = { core: 2, auth: 4, gateway: 8, account: 1 };

/**
 * Returns the flags of Node for the process of a role. `kill -USR1` starts no debugger in any role. The
 * gateway and the account page speak with strangers, so Node's permission model also restricts them to their
 * files: they have no child processes, threads, native code or SQLite.
 *
 * The other roles cannot be restricted so. In Node 26 that model disables fsync(2) and fchmod(2) altogether,
 * without which nothing is written durably; SQLite bypasses it; and argon2 is native code, to which it does
 * not apply. The network is one permission that includes unix sockets, so no role can be without it.
 */
export function nodeFlags(role: Role, config: Config, paths: HomePaths): string[] {
  const flags = [`--max-semi-space-size=${YOUNG[role]}`, ...process.execArgv, '--disable-sigusr1'];
  if (role === 'core' || role === 'auth') return flags;
  const { reads, writes } = filesOf(role, config, paths);
  return [
    ...flags,
    '--permission',
    // Node 24 has no such flag, because its permission model does not restrict the network.
    ...(process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : []),
    // The flag suppresses the warning that --allow-net is experimental.
    '--disable-warning=ExperimentalWarning',
    '--no-experimental-sqlite',
    ...[...reads, ...writes].map((file) => `--allow-fs-read=${file}`),
    ...writes.map((file) => `--allow-fs-write=${file}`),
  ];
}

/**
 * Returns the files that the process of a restricted role may read and write. It may read what it may write.
 */
function filesOf(role: 'gateway' | 'account', config: Config, paths: HomePaths) {
  const code = [
    path.join(CODE, '*'),
    path.join(ROOT, 'package.json'),
    path.join(ROOT, 'bin/*'),
    path.join(ROOT, 'node_modules/*'),
    MODULES,
  ];
  const audit = path.dirname(config.log.audit);
  const log = [audit, path.join(audit, '*')];
  const own = path.join(paths.runtime[role], '*');
  const certificates = [config.tls.certificate, paths.ca.certificate];
  if (role === 'account') return { reads: [...code, ...certificates, ...log], writes: [own] };
  const reads = [
    ...[...code, ...certificates, config.tls.key, config.tls.clientCa ?? paths.ca.certificate],
    path.join(config.cache.directory, '*'),
    ...(config.hosted ? [path.join(config.hosted.directory, '*')] : []),
  ];
  return { reads, writes: [...log, own] };
}

/**
 * Keeps the memory of this process, and of those that it starts, out of core dumps: core(5). If there is no
 * such file, as outside of Linux and in some containers, the limit of the caller (LimitCORE=0, --ulimit
 * core=0) is needed.
 */
export function leaveNoMemory(): void {
  try {
    writeFileSync('/proc/self/coredump_filter', '0');
  } catch {
    // A start must not fail because of this.
  }
}
