import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { HOUR, limitOf, spender, TestBudgets } from '../../support/test-budgets.ts';
import { waitFor } from '../../support/wait-for.ts';

const ANA = spender('ana', [{ ...limitOf('ci', 5, HOUR), bytes: { max: 10, windowMs: HOUR } }]);

test('all counts survive a restart, and the use goes on from there', async () => {
  using budgets = new TestBudgets({ pulls: 10, windowMs: HOUR });
  assert.deepEqual(budgets.pulls(4, ANA), { taken: 4 });
  budgets.opened.chargeBytes(ANA, 12);
  budgets.seen(100, 50);
  const before = budgets.report();
  await budgets.restart();
  assert.deepEqual(budgets.report().accounts[0]?.quota, before.accounts[0]?.quota);
  assert.equal(budgets.report().accounts[0]?.used, 4);
  assert.equal(budgets.report().accounts[0]?.subjects, 1);
  assert.equal(budgets.report().accounts[0]?.pullsPerHour, before.accounts[0]?.pullsPerHour);
  assert.deepEqual(budgets.pulls(3, ANA), { taken: 1, limit: 2 });
  assert.equal(budgets.opened.mayDownload(ANA)?.used, 12);
  assert.equal(statSync(budgets.file).mode & 0o777, 0o600);
});

test('a subject that pulled shortly before a restart still wants the quota after it', async () => {
  using budgets = new TestBudgets({ pulls: 100, windowMs: 24 * HOUR });
  budgets.pull(spender('prod'));
  assert.deepEqual(budgets.pulls(50, spender('ci')), { taken: 50 });
  await budgets.restart();
  assert.deepEqual(budgets.pulls(2, spender('ci')), { share: 2 });
});

test('a change is written without being asked, so that a killed core loses no more than the last second', async () => {
  using budgets = new TestBudgets();
  budgets.pull(ANA);
  await waitFor(() => budgets.onDisk('account') === 1);
  budgets.pull(ANA);
  await waitFor(() => budgets.onDisk('account') === 2);
});

test('what the window has left behind is removed from the file', () => {
  using budgets = new TestBudgets();
  budgets.pull(ANA);
  budgets.opened.flush();
  assert.equal(budgets.onDisk('limit-pulls'), 1);
  assert.equal(budgets.onDisk('subject'), 1);
  budgets.now += 24 * HOUR;
  budgets.pull(spender('bo'));
  budgets.opened.flush();
  assert.equal(budgets.onDisk('limit-pulls'), undefined);
  assert.equal(budgets.onDisk('subject'), 1, 'of the other subject');
});

test('a pull that is given back after its window has ended removes nothing that was counted since', () => {
  using budgets = new TestBudgets();
  const late = budgets.take(ANA);
  budgets.now += 24 * HOUR;
  budgets.opened.flush();
  budgets.pull(ANA);
  budgets.opened.flush();
  late.giveBack();
  budgets.opened.flush();
  assert.equal(budgets.onDisk('limit-pulls'), 1);
});

test('lost counts begin at 0, and the log says so', async () => {
  using budgets = new TestBudgets();
  budgets.pulls(9, ANA);
  await budgets.restart(() => rmSync(budgets.file));
  assert.deepEqual(budgets.pulls(9, ANA), { taken: 5, limit: 4 });
  assert.match(budgets.logged.at(-1)?.msg ?? '', /begin at 0/);
});

const DAMAGES: Readonly<Record<string, (file: string) => void>> = {
  'is not a database': (file) => writeFileSync(file, 'not a database, but long enough to be taken for one'),
  'has another version': (file) => change(file, 'PRAGMA user_version = 99'),
  'has a row that is no count': (file) => change(file, "UPDATE counter SET buckets = '[[1,-5]]'"),
  'has a row of no account': (file) => change(file, "UPDATE counter SET owner = '!' WHERE kind = 'pace'"),
};

for (const [damage, apply] of Object.entries(DAMAGES))
  test(`if the file ${damage}, no limit applies, the log and the report say so, and the file stays`, async () => {
    using budgets = new TestBudgets({ pulls: 1, windowMs: HOUR });
    budgets.pull(ANA);
    await budgets.restart(() => apply(budgets.file));
    const damaged = readFileSync(budgets.file);
    assert.deepEqual(budgets.pulls(9, ANA), { taken: 9 });
    budgets.opened.chargeBytes(ANA, 99);
    assert.equal(budgets.opened.mayDownload(ANA), undefined);
    assert.ok(budgets.report().failure?.startsWith(`${budgets.file} cannot be read: `));
    assert.ok(budgets.logged.some(({ level, msg }) => level === 50 && msg.includes('no limit')));
    budgets.opened.flush();
    assert.deepEqual(readFileSync(budgets.file), damaged);
    assert.equal(budgets.report().accounts[0]?.used, 9);
  });

test('while the file cannot be written the counts are kept in memory, and they are written when it can', async () => {
  using budgets = new TestBudgets(undefined, 'not-there-yet/budget.db');
  budgets.pulls(4, ANA);
  budgets.opened.flush();
  budgets.opened.flush();
  assert.equal(budgets.report().failure, null);
  const complaints = budgets.logged.filter(({ level }) => level === 50);
  assert.equal(complaints.length, 1);
  assert.match(complaints[0]?.msg ?? '', /^the counts of pulls begin at 0 and are kept in memory: /);
  mkdirSync(path.dirname(budgets.file));
  budgets.opened.flush();
  assert.match(budgets.logged.at(-1)?.msg ?? '', /can be written again/);
  budgets.pull(undefined);
  await budgets.restart();
  assert.deepEqual(budgets.pulls(3, ANA), { taken: 1, limit: 2 });
  assert.equal(budgets.report().accounts[0]?.used, 6);
});

function change(file: string, sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}
