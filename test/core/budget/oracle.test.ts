import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PullTaken } from '../../../src/core/budget/budgets.ts';
import type { Spender } from '../../../src/core/budget/spender.ts';
import { Random } from '../../crash/support/random.ts';
import { TestBudgets } from '../../support/test-budgets.ts';

const STEPS = 100_000;
const KILLS = 10;
const WINDOW = 24_000;
const QUOTA = 60;
const SUBJECTS = ['prod', 'ci', 'dev', 'ana'];

/** What a gateway asks for. Two gateways can have different policies for a moment. */
function spenderOf(gateway: number, subjectKey: string): Spender {
  const max = gateway === 0 ? 40 : 35;
  return {
    subjectKey,
    budgets: [
      { limit: 'all', key: 'all', pulls: { max: 90, windowMs: 2 * WINDOW } },
      { limit: 'each', key: `each ${subjectKey}`, pulls: { max, windowMs: WINDOW } },
      { limit: 'bytes', key: 'bytes', bytes: { max: 1000, windowMs: WINDOW } },
    ],
    reserved: subjectKey === 'prod' ? { share: 0, ids: [] } : { share: 0.2, ids: ['prod'] },
  };
}

interface Event {
  readonly time: number;
  readonly subject: string;
  readonly bytes: number;
}

/**
 * The rules in the plainest form: a list of everything that happened, which is counted anew for each
 * question.
 */
class Oracle {
  events: Event[] = [];
  /** The order in which subjects that were below their share have asked. */
  asked: { subject: string; time: number }[] = [];
  /** The subjects that the search of each sub-bucket has found to be active, and those that came later. */
  active = new Set<string>();
  searchAt = 0;

  used(now: number, windowMs: number, subject?: string): number {
    const width = windowMs / 24;
    const first = Math.floor(now / width) - 24;
    const counted = this.events.filter(
      (one) =>
        one.bytes === 0 &&
        Math.floor(one.time / width) >= first &&
        (subject === undefined || one.subject === subject),
    );
    return counted.length;
  }

  bytes(now: number): number {
    const first = Math.floor(now / (WINDOW / 24)) - 24;
    return this.events
      .filter(({ time }) => Math.floor(time / (WINDOW / 24)) >= first)
      .reduce((sum, { bytes }) => sum + bytes, 0);
  }

  decide({ subjectKey, budgets, reserved }: Spender, now: number): string {
    const [all, each] = budgets;
    if (this.used(now, 2 * WINDOW) >= (all?.pulls?.max ?? 0)) return 'limit';
    if (this.used(now, WINDOW, subjectKey) >= (each?.pulls?.max ?? 0)) return 'limit';
    const left = QUOTA - this.used(now, WINDOW);
    if (reserved.share > 0 && left <= reserved.share * QUOTA) return 'reserve';
    this.#ask(subjectKey, now);
    if (left <= 0) return 'upstream';
    if (left > QUOTA / 2) return 'taken';
    const share = Math.max(1, Math.floor(QUOTA / this.active.size));
    if (this.used(now, WINDOW, subjectKey) < share) return 'taken';
    return this.#othersWant(subjectKey, share, now) ? 'share' : 'taken';
  }

  /** Forgets what no window can contain any more, so that the list stays short. */
  trim(now: number): void {
    this.events = this.events.filter(({ time }) => time > now - 2.2 * WINDOW);
  }

  /** Goes on with what was written, after a kill. */
  restart(written: readonly Event[], now: number): void {
    this.events = [...written];
    this.trim(now);
    this.searchAt = 0;
    const pulls = written.filter(({ bytes }) => bytes === 0);
    this.active = new Set(pulls.map(({ subject }) => subject));
    const width = WINDOW / 24;
    this.asked = [...this.active].sort().map((subject) => {
      const last = pulls.findLast((one) => one.subject === subject)?.time ?? 0;
      return { subject, time: Math.floor(last / width) * width };
    });
  }

  #ask(subject: string, now: number): void {
    if (now >= this.searchAt) {
      this.searchAt = now + WINDOW / 24;
      for (const one of this.active)
        if (this.used(now, WINDOW, one) === 0 && !this.#isRecent(one, now)) this.active.delete(one);
    }
    this.active.add(subject);
    this.asked = [...this.asked.filter((one) => one.subject !== subject), { subject, time: now }];
  }

  #isRecent(subject: string, now: number): boolean {
    return this.asked.some((one) => one.subject === subject && one.time > now - WINDOW / 6);
  }

  #othersWant(subject: string, share: number, now: number): boolean {
    const wants = (one: string) => this.#isRecent(one, now) && this.used(now, WINDOW, one) < share;
    const first = this.asked.findIndex((one) => one.subject !== subject && wants(one.subject));
    // Whoever was found not to want more is asked again only after its next pull.
    this.asked = first < 0 ? [] : this.asked.slice(first);
    return first >= 0;
  }
}

/** Does the same to the budgets and to the oracle, and compares what they say. */
class Comparison implements Disposable {
  readonly budgets = new TestBudgets({ pulls: QUOTA, windowMs: WINDOW });
  readonly results: Record<string, number> = {};
  readonly #oracle = new Oracle();
  readonly #random = new Random(18);
  #open: { pull: PullTaken; event: Event }[] = [];
  #written: readonly Event[] = [];

  step(): void {
    const choice = this.#random.next();
    if (choice < 0.6) this.#pull();
    else if (choice < 0.8) this.#end();
    else if (choice < 0.85) this.#download();
    else if (choice < 0.86) this.#flush();
    // Mostly a moment passes, and sometimes the time after which a window is empty.
    else this.budgets.now += this.#random.chance(0.002) ? 3 * WINDOW : this.#random.below(1500);
    if (this.#random.chance(0.02)) this.#oracle.trim(this.budgets.now);
  }

  kill(): void {
    const { now } = this.budgets;
    const before = this.#oracle.used(now, WINDOW);
    const changes = differences(this.#oracle.events, this.#written);
    this.budgets.kill();
    this.#open = [];
    this.#oracle.restart(this.#written, now);
    const after = this.budgets.report().accounts[0]?.used ?? 0;
    assert.equal(after, this.#oracle.used(now, WINDOW), 'the pulls that were written');
    assert.ok(Math.abs(before - after) <= changes, 'a kill loses at most what happened since the last write');
  }

  #pull(): void {
    const { now } = this.budgets;
    const by = spenderOf(this.#random.below(2), this.#random.pick(SUBJECTS));
    const expected = this.#oracle.decide(by, now);
    const pull = this.budgets.tryTake(by);
    assert.equal(pull.kind, expected);
    this.results[expected] = (this.results[expected] ?? 0) + 1;
    if (pull.kind !== 'taken') return;
    const event = { time: now, subject: by.subjectKey, bytes: 0 };
    this.#oracle.events.push(event);
    this.#open.push({ pull, event });
  }

  /** Ends a pull: it was answered, or it was not sent. */
  #end(): void {
    const [one] = this.#open.splice(this.#random.below(this.#open.length), 1);
    if (one === undefined) return;
    if (this.#random.chance(0.3)) {
      one.pull.giveBack();
      this.#oracle.events = this.#oracle.events.filter((event) => event !== one.event);
    }
    one.pull[Symbol.dispose]();
  }

  #download(): void {
    const { now } = this.budgets;
    const by = spenderOf(0, 'ana');
    const bytes = this.#oracle.bytes(now);
    assert.equal(this.budgets.opened.mayDownload(by)?.used, bytes >= 1000 ? bytes : undefined);
    this.budgets.opened.chargeBytes(by, 100);
    this.#oracle.events.push({ time: now, subject: '', bytes: 100 });
  }

  #flush(): void {
    this.budgets.opened.flush();
    this.#written = [...this.#oracle.events];
  }

  [Symbol.dispose](): void {
    this.budgets[Symbol.dispose]();
  }
}

test(`${STEPS} random events of two gateways, and ${KILLS} kills, give the counts and decisions of the plainest rules`, () => {
  using comparison = new Comparison();
  for (let step = 1; step <= STEPS; step++) {
    comparison.step();
    if (step % (STEPS / KILLS) === 0) comparison.kill();
  }
  for (const kind of ['taken', 'limit', 'reserve', 'share', 'upstream'])
    assert.ok((comparison.results[kind] ?? 0) > 100, `${kind} came ${comparison.results[kind]} times`);
});

function differences(a: readonly Event[], b: readonly Event[]): number {
  const [inA, inB] = [new Set(a), new Set(b)];
  return inA.symmetricDifference(inB).size;
}
