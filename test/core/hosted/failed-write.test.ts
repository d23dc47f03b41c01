import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { run } from '../../e2e/support/process.ts';

test('an upload whose bytes cannot be written ends, and keeps nothing of the quota', async () => {
  const fixture = path.join(import.meta.dirname, '../../support/fixtures/failed-write.ts');
  // The limit is in blocks of 512 bytes: 2 MiB. Node ignores its signal, so that a write fails as on a broken
  // disk.
  const limited = 'unset NODE_TEST_CONTEXT; ulimit -f 4096; exec "$0" "$1"';
  const { code, output } = await run('sh', ['-c', limited, process.execPath, fixture]);
  assert.equal(code, 0, output);
});
