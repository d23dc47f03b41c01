import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PullTaken } from '../../../src/core/budget/budgets.ts';
import type { QuotaRefusal } from '../../../src/protocol/core-api.ts';
import { DOCKER_HUB } from '../../../src/registry/repository.ts';
import { ACCOUNT, HOUR, limitOf, spender, TestBudgets } from '../../support/test-budgets.ts';

const PROD_KEEPS = { share: 0.2, ids: ['prod'] };

test('a pull is refused by each limit that has nothing left, and the refusal that holds for longest is told', () => {
  using budgets = new TestBudgets();
  const ci = limitOf('ci', 2, HOUR);
  const day = limitOf('day', 2, 24 * HOUR);
  const both = spender('ana', [ci, day]);
  assert.equal(budgets.pull(both), 'taken');
  assert.equal(budgets.pull(both), 'taken');
  assert.deepEqual(budgets.pull(both), {
    ...{ kind: 'limit', id: 'day', unit: 'pulls', used: 2, max: 2, windowMs: 24 * HOUR },
    untilMs: budgets.now + 25 * HOUR,
  });
  assert.equal(
    budgets.pull(spender('ana', [limitOf('ci', 3, HOUR)])),
    'taken',
    'a new maximum holds at once',
  );
  assert.equal(budgets.pull(spender('bo', [limitOf('other', 1, HOUR)])), 'taken');
});

test('a refused pull is charged to no budget', () => {
  using budgets = new TestBudgets();
  const open = limitOf('open', 5, HOUR);
  for (let i = 0; i < 9; i++) budgets.pull(spender('ana', [open, limitOf('shut', 0, HOUR)]));
  const { limits } = budgets.report();
  assert.deepEqual(
    limits.map(({ limit, used, refusals }) => ({ limit, used, refusals })),
    [
      { limit: 'open', used: 0, refusals: 0 },
      { limit: 'shut', used: 0, refusals: 9 },
    ],
  );
});

test('a limit for each subject has a budget for each of its keys', () => {
  using budgets = new TestBudgets();
  const each = (key: string) => spender(key, [{ ...limitOf('each', 1, HOUR), key: `each ${key}` }]);
  assert.equal(budgets.pull(each('ana')), 'taken');
  assert.equal(budgets.pull(each('bo')), 'taken');
  assert.equal(kindOf(budgets.pull(each('ana'))), 'limit');
  assert.equal(budgets.report().limits[0]?.budgets, 2);
});

test('no window of a limit ever contains more than its maximum, and the next pull is possible when it was said', () => {
  using budgets = new TestBudgets();
  const ci = spender('ci', [limitOf('ci', 10, 24 * HOUR)]);
  const times: number[] = [];
  for (let step = 0; step < 400; step++) {
    const result = budgets.pull(ci);
    if (result === 'taken') times.push(budgets.now);
    else assert.ok((result.untilMs ?? 0) > budgets.now && (result.untilMs ?? 0) <= budgets.now + 25 * HOUR);
    budgets.now += 17 * 60_000;
  }
  const inWindow = times.map((time) => times.filter((one) => one > time - 24 * HOUR && one <= time).length);
  assert.equal(Math.max(...inWindow), 10);
  const refusal = budgets.drain(ci);
  budgets.now = (refusal.untilMs ?? 0) - 1;
  assert.equal(kindOf(budgets.pull(ci)), 'limit');
  budgets.now += 1;
  assert.equal(budgets.pull(ci), 'taken');
});

test('a pull that was not sent is given back, once', () => {
  using budgets = new TestBudgets();
  const ci = spender('ci', [limitOf('ci', 2, HOUR)]);
  assert.equal(budgets.pull(ci), 'taken');
  const pull = budgets.take(ci);
  pull.giveBack();
  pull.giveBack();
  assert.equal(budgets.report().accounts[0]?.used, 1);
  assert.equal(budgets.pull(ci), 'taken');
  assert.equal(kindOf(budgets.pull(ci)), 'limit');
  assert.equal(budgets.report().accounts[0]?.pulls, 2);
});

test('bytes are charged as they arrive, and a download may begin while there is something left', () => {
  using budgets = new TestBudgets();
  const ana = spender('ana', [{ limit: 'gb', key: 'gb', bytes: { max: 100, windowMs: HOUR } }]);
  budgets.opened.chargeBytes(ana, 99);
  assert.equal(budgets.opened.mayDownload(ana), undefined);
  budgets.opened.chargeBytes(ana, 50);
  const { kind, id, unit, used } = budgets.opened.mayDownload(ana) ?? {};
  assert.deepEqual([kind, id, unit, used], ['limit', 'gb', 'bytes', 149]);
  assert.equal(budgets.pull(ana), 'taken', 'bytes say nothing about pulls');
});

test('without a known quota there is no share and no reserve, and a pull of nobody is only counted', () => {
  using budgets = new TestBudgets();
  for (let i = 0; i < 300; i++)
    assert.equal(budgets.pull(spender(i % 2 === 0 ? 'ana' : 'bo', [], PROD_KEEPS)), 'taken');
  assert.equal(budgets.pull(undefined), 'taken');
  const [account] = budgets.report().accounts;
  assert.equal(account?.used, 301);
  assert.equal(account?.quota, null);
});

test('a careless job: it gets its share of a short quota, and production and the others get theirs', () => {
  using budgets = new TestBudgets({ pulls: 100, windowMs: 6 * HOUR });
  assert.equal(budgets.pull(spender('prod')), 'taken');
  const ci = budgets.pulls(130, spender('ci', [], PROD_KEEPS));
  assert.deepEqual(ci, { taken: 50, share: 80 });
  assert.deepEqual(budgets.pulls(20, spender('prod')), { taken: 20 });
  // Three share 100 pulls now, and a fifth of them is kept.
  assert.deepEqual(budgets.pulls(20, spender('dev', [], PROD_KEEPS)), { taken: 9, reserve: 11 });
  assert.deepEqual(budgets.pulls(12, spender('prod')), { taken: 12 });
  assert.deepEqual(budgets.report().reserves, [{ id: 'prod', refusals: 11 }]);
});

test('while more than half of the quota is left, only limits apply', () => {
  using budgets = new TestBudgets({ pulls: 100, windowMs: HOUR });
  budgets.pull(spender('prod'));
  for (let i = 0; i < 30; i++) budgets.pull(spender(`other ${i}`));
  // The share is 3 now.
  assert.deepEqual(budgets.pulls(20, spender('ci')), { taken: 19, share: 1 });
});

test('nobody is refused while nobody else wants the quota', () => {
  using budgets = new TestBudgets({ pulls: 100, windowMs: 6 * HOUR });
  assert.deepEqual(budgets.pulls(70, spender('ci')), { taken: 70 }, 'nobody else has ever asked');
  budgets.pull(spender('dev'));
  assert.deepEqual(budgets.pulls(5, spender('ci')), { share: 5 }, 'another one is below its share');
  budgets.now += HOUR;
  assert.deepEqual(budgets.pulls(5, spender('ci')), { taken: 5 }, 'it has not asked for an hour');
  budgets.pull(spender('dev', [limitOf('shut', 0, HOUR)]));
  assert.deepEqual(budgets.pulls(1, spender('ci')), { taken: 1 }, 'its own limit refuses the other one');
});

test('a subject that has used its share does not make another one wait', () => {
  using budgets = new TestBudgets({ pulls: 60, windowMs: 6 * HOUR });
  budgets.pull(spender('dev'));
  budgets.now += HOUR;
  assert.deepEqual(budgets.pulls(22, spender('ana')), { taken: 22 });
  // The share is 20, and nobody who is below it has asked for an hour.
  assert.deepEqual(budgets.pulls(40, spender('bo')), { taken: 37, upstream: 3 });
});

test('a reserve keeps its part for those whom it is for, and says when there is more', () => {
  using budgets = new TestBudgets({ pulls: 100, windowMs: 24 * HOUR });
  const until = budgets.now + 25 * HOUR;
  assert.deepEqual(budgets.pulls(90, spender('ci', [], PROD_KEEPS)), { taken: 80, reserve: 10 });
  assert.deepEqual(budgets.pull(spender('ci', [], PROD_KEEPS)), {
    ...{ kind: 'reserve', id: 'prod', unit: 'pulls', used: 80, max: 100, windowMs: 24 * HOUR },
    untilMs: until,
  });
  assert.deepEqual(budgets.pulls(20, spender('prod')), { taken: 20 });
  assert.deepEqual(budgets.pull(spender('prod')), {
    ...{ kind: 'upstream', unit: 'pulls', used: 100, max: 100, windowMs: 24 * HOUR },
    untilMs: until,
  });
  budgets.now = until;
  assert.equal(budgets.pull(spender('ci', [], PROD_KEEPS)), 'taken');
});

test('a reserve of 7 of 100 is 7, whatever the product of the numbers is', () => {
  using budgets = new TestBudgets({ pulls: 100, windowMs: HOUR });
  const ci = spender('ci', [], { share: 0.07, ids: ['prod'] });
  assert.deepEqual(budgets.pulls(99, ci), { taken: 93, reserve: 6 });
});

test('the upstream is believed rather than the statement, and its other pulls are shown as elsewhere', () => {
  using budgets = new TestBudgets({ pulls: 1000, windowMs: HOUR });
  budgets.pulls(3, spender('ana'));
  budgets.seen(100, 60);
  const [account] = budgets.report().accounts;
  assert.deepEqual(account?.quota, {
    ...{ source: 'upstream', limit: 100, left: 60, elsewhere: 37, readAt: budgets.now },
  });
  assert.equal(account?.windowMs, 6 * HOUR);
  budgets.pull(spender('ana'));
  assert.equal(budgets.opened.left(DOCKER_HUB, ACCOUNT), 59);
  budgets.now += 6 * HOUR;
  assert.equal(budgets.report().accounts[0]?.quota?.source, 'stated', 'what it said is over');
});

test('if others use the quota too, the subjects of this mirror share what is left for them', () => {
  using budgets = new TestBudgets();
  budgets.pull(spender('prod'));
  budgets.seen(100, 39);
  assert.deepEqual(budgets.pulls(30, spender('ci')), { taken: 20, share: 10 });
});

test('the upstream refuses by itself where it keeps a count', () => {
  using budgets = new TestBudgets();
  budgets.pull(spender('ana'));
  budgets.seen(100, 0);
  assert.deepEqual(budgets.pulls(3, spender('ana')), { taken: 3 });
});

test('pulls under way count once, in whatever order the upstream answers them', () => {
  using budgets = new TestBudgets();
  const under = Array.from({ length: 10 }, () => budgets.take(spender('ci')));
  // The Hub has counted all ten, and the answers come in another order.
  for (const remaining of [95, 90, 99, 92]) budgets.seen(100, remaining);
  assert.equal(budgets.report().accounts[0]?.quota?.left, 90);
  for (const pull of under) pull[Symbol.dispose]();
  budgets.seen(100, 85);
  assert.equal(budgets.report().accounts[0]?.quota?.elsewhere, 5);
});

test('each account of an upstream has a count of its own', () => {
  using budgets = new TestBudgets({ pulls: 2, windowMs: HOUR });
  const on = (account: string) => budgets.opened.takePull(DOCKER_HUB, account, spender('ana')).kind;
  assert.deepEqual([on('main'), on('main'), on('main'), on('pay')], ['taken', 'taken', 'upstream', 'taken']);
});

test('a clock that is set back does not make a count last longer', () => {
  using budgets = new TestBudgets();
  const ci = spender('ci', [limitOf('ci', 1, HOUR)]);
  budgets.now += 1000 * HOUR;
  budgets.pull(ci);
  budgets.now -= 1000 * HOUR;
  const refusal = budgets.drain(ci);
  assert.ok((refusal.untilMs ?? 0) <= budgets.now + 2 * HOUR);
});

test('a window that is made longer or shorter keeps the use', () => {
  using budgets = new TestBudgets();
  budgets.pulls(3, spender('ci', [limitOf('ci', 10, HOUR)]));
  assert.deepEqual(budgets.pulls(10, spender('ci', [limitOf('ci', 5, 24 * HOUR)])), { taken: 2, limit: 8 });
  assert.deepEqual(budgets.pulls(10, spender('ci', [limitOf('ci', 7, HOUR)])), { taken: 2, limit: 8 });
  budgets.now += 3 * HOUR;
  assert.deepEqual(budgets.pulls(9, spender('ci', [limitOf('ci', 7, HOUR)])), { taken: 7, limit: 2 });
});

test('the report says at this pace when nothing is left, and when all of it is back', () => {
  using budgets = new TestBudgets({ pulls: 100, windowMs: 6 * HOUR });
  assert.equal(budgets.report().accounts.length, 0);
  for (let minute = 0; minute < 60; minute++) {
    budgets.pull(spender('ana'));
    budgets.now += 60_000;
  }
  const [account] = budgets.report().accounts;
  assert.ok(Math.abs((account?.pullsPerHour ?? 0) - 60) < 3, `${account?.pullsPerHour} an hour`);
  const minutes = ((account?.emptyAt ?? 0) - budgets.now) / 60_000;
  assert.ok(Math.abs(minutes - 40) < 3, `empty in ${minutes} minutes`);
  assert.ok((account?.fullAgainAt ?? 0) > budgets.now + 5.9 * HOUR);
  budgets.now += 30 * 60_000;
  const later = budgets.report().accounts[0];
  assert.ok((later?.pullsPerHour ?? 0) < 30, 'a pace that has ended weighs less and less');
});

test('a pace at which earlier pulls come back in time never empties the quota', () => {
  using budgets = new TestBudgets({ pulls: 100, windowMs: HOUR });
  for (let minute = 0; minute < 240; minute++) {
    budgets.pull(spender('ana'));
    budgets.now += 60_000;
  }
  assert.equal(budgets.report().accounts[0]?.emptyAt, null);
});

function kindOf(result: QuotaRefusal | PullTaken | 'taken'): string {
  return typeof result === 'string' ? result : result.kind;
}
