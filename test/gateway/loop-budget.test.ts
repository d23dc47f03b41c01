import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { withinLoopBudget } from '../../src/platform/scheduling/event-loop-budget.ts';
import { imageOf } from '../support/image.ts';
import { withMirror } from '../support/with-mirror.ts';

const HOSTILE = '127.0.0.1';
/** Enough to take seconds. */
const TASKS = 10_000;

const { hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ pull: library/**, to: authenticated }]',
    images: { 'library/alpine': imageOf() },
  },
);
const token = await hubgate.token('ana', 'library/alpine');
assert.equal((await pull()).status, 200);

function from(localAddress: string, path: string, headers: Record<string, string> = {}) {
  return hubgate.send({ path, agent: false, localAddress, family: 4, host: '127.0.0.1', headers });
}

function pull() {
  return from('127.0.0.2', '/v2/library/alpine/manifests/latest', { authorization: `Bearer ${token}` });
}

/** Runs `ask` while the gateway has much work for one address, and returns how many tasks are left then. */
async function askAmongWork(ask: () => Promise<{ readonly status: number }>): Promise<number> {
  let left = TASKS;
  let isOver = false;
  const task = async () => {
    if (isOver) return;
    left--;
    const end = performance.now() + 1;
    while (performance.now() < end);
  };
  const work = Array.from({ length: TASKS }, () => withinLoopBudget(task, () => HOSTILE));
  const { status } = await ask();
  isOver = true;
  await Promise.all(work);
  assert.equal(status, 200);
  return left;
}

test('work of the event loop that waits for one address keeps no other address waiting', async () => {
  assert.ok((await askAmongWork(pull)) > 0, 'the pull was answered when all was done');
});

test('a probe is answered whatever waits for its own address', async () => {
  const probe = () => from(HOSTILE, '/healthz');
  assert.ok((await askAmongWork(probe)) > 0, 'the probe was answered when all was done');
});
