import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

const ROOT = path.join(import.meta.dirname, '..');

/** Imports a role as its process does, and prints the modules that were loaded for it. */
const PROGRAM = `
  const loaded = [];
  (await import('node:module')).registerHooks({
    load: (url, context, next) => {
      loaded.push(url);
      return next(url, context);
    },
  });
  const { startCore } = await import('./src/core/core.ts');
  await import('./src/auth/auth.ts');
  await import('./src/gateway/gateway.ts');
  const directory = process.argv[1];
  const { createLogger } = await import('./src/platform/log.ts');
  const log = createLogger('test', { level: 'error', format: 'json' });
  const core = await startCore({
    socket: directory + '/core.sock', directory: directory + '/data', upstreams: [], tagFreshness: 1,
    staleIfError: 1, maxSize: 2 ** 30, unusedFor: 0, log,
  });
  await core[Symbol.asyncDispose]();
  console.log(JSON.stringify(loaded));
`;

test('a home that is no node of a cluster loads nothing of one', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-alone-'));
  t.after(() => rm(directory, { recursive: true }));
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', PROGRAM, directory],
    { cwd: ROOT, encoding: 'utf8' },
  );
  assert.equal(status, 0, stderr);
  const loaded: readonly string[] = JSON.parse(stdout);
  assert.ok(loaded.some((url) => url.endsWith('/src/core/core.ts')));
  const ofCluster =
    /\/node_modules\/(?:pg|aws4fetch)|\/src\/(?:core\/)?cluster\/|\/platform\/postgres\.ts|cluster-index|join-cluster|pending-uploads/;
  assert.deepEqual(
    loaded.filter((url) => ofCluster.test(url)),
    [],
  );
});
