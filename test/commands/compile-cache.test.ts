import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const MODULE = path.join(import.meta.dirname, '../../src/launch/compile-cache.ts');

test('a supervisor runs no code that gateways can write, and keeps what it compiled where they cannot', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-compile-cache-'));
  try {
    assert.equal(await cacheOf(home, "'gateway'"), '');
    assert.ok((await cacheOf(home, 'undefined')).startsWith(path.join(home, 'run/supervisor/compile-cache')));
  } finally {
    await rm(home, { recursive: true });
  }
});

test('a verb reuses the cache of the supervisor, and does not make its directory', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-compile-cache-'));
  try {
    assert.equal(await cacheOf(home, undefined, 'reuseCompileCache'), '');
    await mkdir(path.join(home, 'run/supervisor'), { recursive: true });
    const cache = await cacheOf(home, undefined, 'reuseCompileCache');
    assert.ok(cache.startsWith(path.join(home, 'run/supervisor/compile-cache')), cache);
  } finally {
    await rm(home, { recursive: true });
  }
});

/** The directory of the compile cache that a process of its own uses; empty if it uses none. */
async function cacheOf(home: string, role?: string, call = 'useCompileCache'): Promise<string> {
  const code = `
    import { getCompileCacheDir } from 'node:module';
    import { ${call} } from ${JSON.stringify(MODULE)};
    ${call}(${JSON.stringify(home)}, ${role});
    process.stdout.write(getCompileCacheDir() ?? '');`;
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const flags = ['--input-type=module', '--eval', code];
  return (await promisify(execFile)(process.execPath, flags, { env })).stdout;
}
