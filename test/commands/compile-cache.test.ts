import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { getCompileCacheDir } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { useCompileCache } from '../../src/commands/compile-cache.ts';

test('a supervisor runs no code that gateways can write, and keeps what it compiled where they cannot', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-compile-cache-'));
  const before = process.umask();
  try {
    useCompileCache(home, 'gateway');
    assert.equal(getCompileCacheDir(), undefined);
    useCompileCache(home, undefined);
    assert.ok(getCompileCacheDir()?.startsWith(path.join(home, 'run/supervisor/compile-cache')));
  } finally {
    process.umask(before);
    await rm(home, { recursive: true });
  }
});
