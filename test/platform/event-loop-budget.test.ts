import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withinLoopBudget as withinBudgetOf } from '../../src/platform/scheduling/event-loop-budget.ts';

const TASKS = 50;
/** Milliseconds of each: some of them fit into a turn, and not nearly all. */
const TASK = 1;

const withinLoopBudget = <T>(task: () => Promise<T>, caller = 'one') => withinBudgetOf(task, () => caller);

function work(): void {
  const end = performance.now() + TASK;
  while (performance.now() < end);
}

test('many tasks at once are done in order, and the event loop goes on between them', async () => {
  let turn = 0;
  const count = () => {
    turn++;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  const done: number[] = [];
  const turns = new Set<number>();
  const task = (number: number) => async () => {
    work();
    done.push(number);
    turns.add(turn);
  };
  await Promise.all(Array.from({ length: TASKS }, (_, number) => withinLoopBudget(task(number))));
  clearImmediate(counting);
  assert.deepEqual(
    done,
    Array.from({ length: TASKS }, (_, number) => number),
  );
  assert.ok(turns.size > 3, `all were done in ${turns.size} turns`);
});

test('who comes while others wait does not pass them by', async () => {
  const order: string[] = [];
  const late: Promise<unknown>[] = [];
  const early = Array.from({ length: TASKS }, () =>
    withinLoopBudget(async () => {
      work();
      order.push('early');
      late.push(withinLoopBudget(async () => order.push('late')));
    }),
  );
  await Promise.all(early);
  await Promise.all(late);
  // Those of the first turn find nobody who waits.
  const others = order.slice(order.indexOf('late', 20));
  assert.ok(order.indexOf('late', 20) >= TASKS && others.every((one) => one === 'late'), order.join(' '));
});

test('a task that comes alone is done at once, and fails for itself', async () => {
  await new Promise(setImmediate);
  let isDone = false;
  const doing = withinLoopBudget(async () => {
    isDone = true;
  });
  assert.ok(isDone);
  await doing;
  const fail = async () => {
    throw new Error('no');
  };
  const all = await Promise.allSettled([
    withinLoopBudget(async () => work()),
    withinLoopBudget(fail),
    ...Array.from({ length: TASKS }, () => withinLoopBudget(async () => work())),
    withinLoopBudget(fail),
  ]);
  assert.equal(all.filter(({ status }) => status === 'rejected').length, 2);
});

test('a caller with one task waits for one task of each other caller, however many they have', async () => {
  const order: string[] = [];
  const task = (name: string) => async () => {
    work();
    order.push(name);
  };
  const many = Array.from({ length: TASKS }, () => withinLoopBudget(task('many'), 'many'));
  const few = ['a', 'b'].map((name) => withinLoopBudget(task(name), name));
  await Promise.all(few);
  // The first tasks run at once, and the first that waits was there before.
  const before = order.slice(0, order.indexOf('a')).length;
  await Promise.all(many);
  assert.ok(before < TASKS / 2, order.join(' '));
  assert.equal(order.indexOf('b') - order.indexOf('a'), 1);
});
