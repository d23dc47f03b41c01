import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/config.ts';
import type { HomePaths, Role } from './home.ts';

/** The checkout, or the installed package. */
const ROOT = path.join(import.meta.dirname, '../..');

/** Where its packages are; beside it, not below it, where it is one of somebody else's. */
const MODULES = fileURLToPath(import.meta.resolve('pino')).replace(
  /(?<=.*\/node_modules\/)(?!.*\/node_modules\/).*/,
  '*',
);

/**
 * MiB of the space for young objects, of which V8 would take three times 16. It is memory that is never given back; with less than
 * this the gateway and auth spend more time on their garbage, with more no less.
 */
const YOUNG: Readonly<Record<Role, number>> = { core: 2, auth: 4, gateway: 8 };

/**
 * The flags of Node for a role's process. `kill -USR1` starts no debugger in any. The gateway, which speaks with strangers, is
 * held to its files by Node's permission model besides: no child processes, threads, native code or SQLite.
 *
 * The others cannot be. In Node 26 that model takes fsync(2) and fchmod(2) away altogether, without which nothing is written
 * durably; SQLite goes past it; and argon2 is native code, which is free of it. The network is one permission, unix
 * sockets included, so nobody can be without it.
 */
export function nodeFlags(role: Role, config: Config, paths: HomePaths): string[] {
  const flags = [`--max-semi-space-size=${YOUNG[role]}`, ...process.execArgv, '--disable-sigusr1'];
  if (role !== 'gateway') return flags;
  const audit = path.dirname(config.log.audit);
  const reads = [
    ...[
      path.join(ROOT, 'src/*'),
      path.join(ROOT, 'package.json'),
      path.join(ROOT, 'node_modules/*'),
      MODULES,
    ],
    ...[
      config.tls.certificate,
      config.tls.key,
      config.tls.clientCa ?? paths.ca.certificate,
      paths.ca.certificate,
    ],
    path.join(config.cache.directory, '*'),
  ];
  const writes = [audit, path.join(audit, '*'), path.join(paths.runtime.gateway, '*')];
  return [
    ...flags,
    '--permission',
    '--allow-net',
    // That --allow-net is experimental.
    '--disable-warning=ExperimentalWarning',
    '--no-experimental-sqlite',
    ...[...reads, ...writes].map((file) => `--allow-fs-read=${file}`),
    ...writes.map((file) => `--allow-fs-write=${file}`),
  ];
}

/**
 * No memory of this process, and of those that it starts, gets into a core dump: core(5). Where there is no such file, as
 * outside of Linux and in some containers, the limit of whoever starts it (LimitCORE=0, --ulimit core=0) is what helps.
 */
export function leaveNoMemory(): void {
  try {
    writeFileSync('/proc/self/coredump_filter', '0');
  } catch {
    // Nothing that a start should fail for.
  }
}
