import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

const FIXTURE = path.join(import.meta.dirname, 'fixtures/two-workers.ts');

test('a connection that is on its way to a worker when it dies is answered by another', async () => {
  const primary = spawn(process.execPath, [FIXTURE], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const [line] = await once(primary.stdout, 'data');
    const { port, pids } = JSON.parse(String(line)) as { port: number; pids: [number, number] };
    const [victim, other] = pids;
    // It takes nothing any more, and has not ended: connections are still given to it.
    process.kill(victim, 'SIGSTOP');
    const answers = Array.from({ length: 4 }, () => text(connect({ port, host: '127.0.0.1' })));
    const first = await Promise.race(answers);
    assert.equal(first, String(other));
    process.kill(victim, 'SIGKILL');
    assert.deepEqual(await Promise.all(answers), Array(4).fill(String(other)));
  } finally {
    primary.stdin.end();
    await once(primary, 'exit');
  }
});
