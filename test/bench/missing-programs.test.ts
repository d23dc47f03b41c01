import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { mustRun, run } from '../e2e/support/process.ts';

const RUN = path.join(import.meta.dirname, '../../bench/run.ts');
const WITHOUT_WRK = ['growth', 'logins', 'tokens', 'budget', 'cluster'];

test('a case whose load generator is not installed is left out before anything begins', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-programs-'));
  stack.defer(() => rm(directory, { recursive: true }));
  for (const program of ['sh', 'getconf']) {
    const found = await mustRun('sh', ['-c', `command -v ${program}`]);
    await symlink(found.trim(), path.join(directory, program));
  }
  const cases = [...WITHOUT_WRK, 'manifests', 'cold'];
  const args = [RUN, '--case', cases.join(',')];
  const { code, output } = await run(process.execPath, args, { env: { PATH: directory } });
  const expected = [
    ...WITHOUT_WRK.map((name) => `without the case ${name}: there is no wrk: apt-get install wrk`),
    'without the case manifests: there is no wrk, openssl: apt-get install wrk openssl',
    'without the case cold: there is no curl: apt-get install curl',
  ];
  assert.deepEqual([code, output.trim().split('\n')], [1, expected]);
});
