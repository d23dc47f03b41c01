import type { Environment } from '../config/environment.ts';
import type { HomePaths, Role } from '../config/home.ts';
import { compileCacheIn } from './compile-cache.ts';

/**
 * The variables that a child gets: those that Node and its libraries use. Everything else that a shell, a
 * service manager or a cluster sets is left out, because it can be somebody's secret.
 */
const PASSED_ON =
  /^(?:PATH|HOME|TMPDIR|TZ|LANG|LC_\w+|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|NODE_ENV|NODE_OPTIONS|NODE_EXTRA_CA_CERTS|NODE_V8_COVERAGE|SSL_CERT_(?:FILE|DIR)|UV_THREADPOOL_SIZE)$/;

/**
 * Returns the environment as it was, and removes what no child needs from it, because it can contain secrets.
 * The settings that are read from it reach a role with the rest of its configuration.
 */
export function takeEnvironment(): Environment {
  const taken = { ...process.env };
  for (const name of Object.keys(taken)) if (!PASSED_ON.test(name)) delete process.env[name];
  return taken;
}

/**
 * Returns the environment of a role. Type stripping loads a compiler of 17 MB into every process that has to
 * do it; the compile cache spares the next start. The cache contains code that the role runs, so each role
 * has its own, which no other role can write.
 */
export function environmentOf(role: Role, paths: HomePaths): NodeJS.ProcessEnv {
  return {
    ...process.env,
    NODE_COMPILE_CACHE: compileCacheIn(paths.runtime[role]),
    ...(role === 'auth' && GIVING_BACK),
  };
}

/**
 * glibc's malloc maps blocks larger than this many bytes, and unmaps them when they are freed. Without the
 * setting, the first hash of a password raises the limit, and the memory of one hash (19 MiB) stays in each
 * of libuv's four threads: mallopt(3). Only auth has it: in a role that often needs large blocks, such as the
 * core, mapping costs more than it saves.
 */
const GIVING_BACK = { MALLOC_MMAP_THRESHOLD_: String(2 ** 20) };
