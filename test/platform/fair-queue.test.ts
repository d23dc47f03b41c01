import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { FairQueue, QueueFullError } from '../../src/platform/scheduling/fair-queue.ts';

const LIMITS = { concurrent: 4, concurrentEach: 2, waiting: 6, waitingEach: 4 };
const OPTIONS = { deadline: 60_000 };

/**
 * A queue whose tasks end when the test says so, and the names of the tasks in the order in which they began.
 */
function queueOfTasks(context: TestContext, limits = LIMITS) {
  const queue = new FairQueue(limits);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const run = (
    caller: string,
    name: string,
    options: Partial<typeof OPTIONS> & { signal?: AbortSignal; restAfter?: () => number } = {},
  ) =>
    queue.run(caller, { ...OPTIONS, ...options }, () => {
      begun.push(name);
      return new Promise<void>((resolve) => ends.set(name, resolve));
    });
  const end = async (name: string) => {
    ends.get(name)?.();
    await new Promise(setImmediate);
  };
  // Nothing waits when the test has ended.
  context.after(async () => {
    for (const name of begun) await end(name);
  });
  return { queue, begun, run, end };
}

test('one caller runs no more than its share, and its next task begins when one has ended', async (context) => {
  const { begun, run, end } = queueOfTasks(context);
  for (const name of ['a1', 'a2', 'a3']) void run('a', name);
  void run('b', 'b1');
  assert.deepEqual(begun, ['a1', 'a2', 'b1']);
  await end('a1');
  assert.deepEqual(begun, ['a1', 'a2', 'b1', 'a3']);
});

test('callers take turns, however many tasks of one wait', async (context) => {
  const { begun, run, end } = queueOfTasks(context, {
    concurrent: 1,
    concurrentEach: 2,
    waiting: 10,
    waitingEach: 10,
  });
  for (const name of ['a1', 'a2', 'a3', 'a4']) void run('a', name);
  for (const name of ['b1', 'b2']) void run('b', name);
  for (const name of ['a1', 'a2', 'b1', 'a3', 'b2']) await end(name);
  assert.deepEqual(begun, ['a1', 'a2', 'b1', 'a3', 'b2', 'a4']);
});

test('who finds the queue full is refused at once: of one caller, and in all', async (context) => {
  const { run } = queueOfTasks(context);
  for (let task = 0; task < 6; task++) void run('a', `a${task}`);
  await assert.rejects(run('a', 'one more'), QueueFullError);
  for (let task = 0; task < 4; task++) void run('b', `b${task}`);
  await assert.rejects(run('c', 'one more'), QueueFullError);
});

test('a task is not begun after its deadline, or when nobody wants it any more', async (context) => {
  const { queue, begun, run, end } = queueOfTasks(context);
  for (const name of ['a1', 'a2']) void run('a', name);
  const gone = new AbortController();
  const abandoned = run('a', 'abandoned', { signal: gone.signal });
  const late = run('a', 'late', { deadline: 1 });
  void run('a', 'wanted');
  gone.abort(new Error('gone'));
  await assert.rejects(abandoned, /gone/);
  await assert.rejects(late, { name: 'DeadlineError' });
  assert.equal(queue.waiting, 1);
  await end('a1');
  assert.deepEqual(begun, ['a1', 'a2', 'wanted']);
  await assert.rejects(run('b', 'abandoned before', { signal: gone.signal }), /gone/);
});

test('a result can keep the place of its caller for a while, and of nobody else', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const limits = { concurrent: 1, concurrentEach: 1, waiting: 10, waitingEach: 10 };
  const { begun, run, end } = queueOfTasks(context, limits);
  void run('a', 'a1', { restAfter: () => 1_000 });
  for (const name of ['a2', 'a3']) void run('a', name);
  void run('b', 'b1');
  await end('a1');
  await end('b1');
  assert.deepEqual(begun, ['a1', 'b1']);
  const pass = async (milliseconds: number) => {
    context.mock.timers.tick(milliseconds);
    await new Promise(setImmediate);
  };
  await pass(999);
  assert.deepEqual(begun, ['a1', 'b1']);
  await pass(1);
  assert.deepEqual(begun, ['a1', 'b1', 'a2']);
  await end('a2');
  assert.deepEqual(begun, ['a1', 'b1', 'a2', 'a3']);
});
