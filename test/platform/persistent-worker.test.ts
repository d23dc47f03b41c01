import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PersistentWorker } from '../../src/platform/scheduling/persistent-worker.ts';

const FILE = new URL('./fixtures/doubling-thread.ts', import.meta.url);

const open = () => new PersistentWorker<number, { doubled: number; asked: number }>(FILE);

test('one thread answers all questions, each to whoever asked it', async () => {
  using thread = open();
  const answers = await Promise.all([1, 2, 3].map((number) => thread.ask(number)));
  assert.deepEqual(
    answers.map(({ doubled, asked }) => [doubled, asked]),
    [
      [2, 1],
      [4, 2],
      [6, 3],
    ],
  );
});

test('what a thread throws is the answer to its question alone: the next one is asked of another', async () => {
  using thread = open();
  const [failed, next] = await Promise.allSettled([thread.ask(-1), thread.ask(4)]);
  assert.equal(failed.status, 'rejected');
  assert.match(String(failed.reason), /that is negative/);
  assert.deepEqual(next, { status: 'fulfilled', value: { doubled: 8, asked: 1 } });
});

test('a question that is asked as it ends waits for nothing', async () => {
  const thread = open();
  const asked = assert.rejects(thread.ask(1), { name: 'AbortError' });
  thread[Symbol.dispose]();
  await asked;
});
