import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { serveOnSocket } from '../../src/platform/ipc/unix-socket.ts';

test('a socket is for this user and group alone, whatever the umask', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-socket-'));
  for (const umask of [0o000, 0o077]) {
    const before = process.umask(umask);
    try {
      const file = path.join(directory, `${umask}.sock`);
      await using _ = await serveOnSocket(file, () => {});
      assert.equal((await stat(file)).mode & 0o777, 0o660);
    } finally {
      process.umask(before);
    }
  }
  await rm(directory, { recursive: true });
});
