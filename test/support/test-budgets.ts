import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Budgets, openBudgets, type PullTaken } from '../../src/core/budget/budgets.ts';
import type { Spender } from '../../src/core/budget/spender.ts';
import type { StatedQuota } from '../../src/core/upstream/upstream.ts';
import { prepareQuery } from '../../src/platform/sqlite-query.ts';
import type { BudgetReport } from '../../src/protocol/budget-report.ts';
import type { Budget, QuotaRefusal, Reserved } from '../../src/protocol/core-api.ts';
import { DOCKER_HUB } from '../../src/registry/repository.ts';
import { type LoggedLine, testLog } from './test-log.ts';

export const HOUR = 3_600_000;
/** The account that the pulls of `TestBudgets` are made with. */
export const ACCOUNT = 'main';

export function limitOf(limit: string, max: number, windowMs: number): Budget {
  return { limit, key: limit, pulls: { max, windowMs } };
}

export function spender(
  subjectKey: string,
  budgets: readonly Budget[] = [],
  reserved: Reserved = { share: 0, ids: [] },
): Spender {
  return { subjectKey, budgets, reserved };
}

/** Budgets in a directory of their own, with a clock that a test sets. */
export class TestBudgets implements Disposable {
  /** It begins with a sub-bucket of any window. */
  now = Date.UTC(2027, 0, 11);
  readonly logged: LoggedLine[] = [];
  readonly #stated: StatedQuota | undefined;
  readonly #directory: string;
  file: string;
  opened: Budgets;
  /** The number of copies of the file so far. */
  #copies = 0;

  constructor(stated?: StatedQuota, file = 'budget.db') {
    this.#stated = stated;
    this.#directory = mkdtempSync(path.join(tmpdir(), 'hubgate-budgets-'));
    this.file = path.join(this.#directory, file);
    this.opened = this.#open(this.file);
  }

  /** Ends as a core does, and opens the file again. */
  async restart(between: () => void = () => {}): Promise<void> {
    await this.opened[Symbol.asyncDispose]();
    between();
    this.opened = this.#open(this.file);
  }

  /** Goes on with what is on the disk at this moment, as after a kill. */
  kill(): void {
    const copy = this.#copy();
    void this.opened[Symbol.asyncDispose]();
    this.file = copy;
    this.opened = this.#open(copy);
  }

  /** Returns the sum of all counts of a kind that are on the disk at this moment. */
  onDisk(kind: string): number | undefined {
    using database = new DatabaseSync(this.#copy());
    const sql = `SELECT sum(bucket.value ->> 1) AS sum FROM counter, json_each(buckets) AS bucket WHERE kind = ?`;
    return prepareQuery<{ sum: number | null }>(database, sql).get(kind)?.sum ?? undefined;
  }

  /** Copies what is on the disk, because the file is locked. */
  #copy(): string {
    const copy = path.join(this.#directory, `copy-${this.#copies++}.db`);
    for (const suffix of ['', '-wal'])
      if (existsSync(this.file + suffix)) copyFileSync(this.file + suffix, copy + suffix);
    return copy;
  }

  #open(file: string): Budgets {
    const log = testLog(this.logged);
    const stated = this.#stated && new Map([[DOCKER_HUB, this.#stated]]);
    return openBudgets({ file, clock: () => this.now, log, ...(stated && { stated }) });
  }

  /** Takes a pull that the upstream has not answered yet. */
  take(by: Spender | undefined): PullTaken {
    const result = this.tryTake(by);
    if (result.kind !== 'taken') throw new Error(`refused: ${result.kind}`);
    return result;
  }

  tryTake(by: Spender | undefined): PullTaken | QuotaRefusal {
    return this.opened.takePull(DOCKER_HUB, ACCOUNT, by);
  }

  pull(by: Spender | undefined): 'taken' | QuotaRefusal {
    const result = this.tryTake(by);
    if (result.kind !== 'taken') return result;
    result[Symbol.dispose]();
    return 'taken';
  }

  /** Tries `count` pulls, and returns how many were taken, and refused by what. */
  pulls(count: number, by: Spender): Record<string, number> {
    const results: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const result = this.pull(by);
      const kind = result === 'taken' ? result : result.kind;
      results[kind] = (results[kind] ?? 0) + 1;
    }
    return results;
  }

  /** Pulls until it is refused. */
  drain(by: Spender): QuotaRefusal {
    for (;;) {
      const result = this.pull(by);
      if (result !== 'taken') return result;
    }
  }

  /** The upstream says what is left of its quota. */
  seen(limit: number, remaining: number): void {
    const quota = { limit, remaining, window: (6 * HOUR) / 1000, readAt: this.now };
    this.opened.quotaSeen(DOCKER_HUB, ACCOUNT, quota);
  }

  report(): BudgetReport {
    return this.opened.report();
  }

  [Symbol.dispose](): void {
    void this.opened[Symbol.asyncDispose]();
    rmSync(this.#directory, { recursive: true });
  }
}
