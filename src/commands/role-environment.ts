import type { Environment } from '../config/environment.ts';
import { compileCacheIn } from './compile-cache.ts';
import type { HomePaths, Role } from './home.ts';

/**
 * What a child is given of the environment: what Node and its libraries go by, and nothing that a shell, a service manager
 * or a cluster puts there besides, for that can be somebody's secret.
 */
const PASSED_ON =
  /^(?:PATH|HOME|TMPDIR|TZ|LANG|LC_\w+|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|NODE_ENV|NODE_OPTIONS|NODE_EXTRA_CA_CERTS|NODE_V8_COVERAGE|SSL_CERT_(?:FILE|DIR)|UV_THREADPOOL_SIZE)$/;

/**
 * The environment as it was. What no child needs is taken out of it, because it can hold secrets: the settings that are read from
 * it reach a role as the rest of its configuration does.
 */
export function takeEnvironment(): Environment {
  const taken = { ...process.env };
  for (const name of Object.keys(taken)) if (!PASSED_ON.test(name)) delete process.env[name];
  return taken;
}

/**
 * The environment of a role. Type stripping loads a compiler of 17 MB into every process that has to do it; the next start
 * finds it done. What it finds is code: whoever writes another role's has it run there, so each has its own.
 */
export function environmentOf(role: Role, paths: HomePaths): NodeJS.ProcessEnv {
  return {
    ...process.env,
    NODE_COMPILE_CACHE: compileCacheIn(paths.runtime[role]),
    ...(role === 'auth' && GIVING_BACK),
  };
}

/**
 * glibc's malloc maps what is larger than this many bytes, and unmaps it when it is freed. Left to itself it takes the first hash
 * of a password for a habit, and keeps the memory of one (19 MiB) for each of libuv's four threads: mallopt(3). Auth alone: where
 * large blocks come and go all the time, as in the core, mapping costs more than it saves.
 */
const GIVING_BACK = { MALLOC_MMAP_THRESHOLD_: String(2 ** 20) };
