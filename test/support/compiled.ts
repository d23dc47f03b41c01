import { existsSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';

/** Where `npm test` keeps what it compiled. */
const CACHE = path.join(import.meta.dirname, '../../node_modules/.cache/compiled');

/**
 * Lets a program that a test starts load what an earlier one has compiled, because compiling is half of what
 * its start costs.
 */
export const COMPILED: Readonly<Record<string, string>> = { NODE_COMPILE_CACHE: CACHE };

/**
 * Lets the roles of a mirror that will start in this home load it too; their environment names a directory in
 * the home.
 */
export async function shareCompiled(home: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  for (const role of ['core', 'auth', 'gateway', 'account']) {
    const directory = path.join(home, 'run', role, 'compile-cache');
    await mkdir(path.dirname(directory), { recursive: true, mode: 0o750 });
    if (!existsSync(directory)) await symlink(CACHE, directory);
  }
}
