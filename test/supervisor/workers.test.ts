import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

const FIXTURE = path.join(import.meta.dirname, 'fixtures/two-workers.ts');

test('a worker that takes no connections, and its end, cost none', async (t) => {
  const primary = spawn(process.execPath, [FIXTURE], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => {
    primary.stdin.end();
    return once(primary, 'exit');
  });
  const [line] = await once(primary.stdout, 'data');
  const { port, pids } = JSON.parse(String(line)) as { port: number; pids: [number, number] };
  const [victim, other] = pids;
  const answers = async () => {
    const asked = Array.from({ length: 4 }, () => text(connect({ port, host: '127.0.0.1' })));
    assert.deepEqual(await Promise.all(asked), Array(4).fill(String(other)));
  };
  process.kill(victim, 'SIGSTOP');
  await answers();
  process.kill(victim, 'SIGKILL');
  await answers();
});
