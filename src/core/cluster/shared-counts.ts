/**
 * The counts of quotas and limits on all nodes of a cluster. Each node tells every second what it has
 * counted, and learns what the others have. So a limit can be exceeded by what the other nodes let through
 * within that second.
 */

import { DatabaseUnavailable } from '../../platform/database-unavailable.ts';
import type { Logger } from '../../platform/log.ts';
import type { Postgres } from '../../platform/postgres.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import type { StoredReading } from '../budget/account-quota.ts';
import { type AccountReading, COUNTER, READING } from '../budget/budget-file.ts';
import type { StoredCount } from '../budget/count-table.ts';
import { KEEP_COUNTS_FOR, SHARE_COUNTS_EVERY } from './limits.ts';

export interface SharedCountsOptions {
  readonly database: Postgres;
  /** The name of this node. */
  readonly node: string;
  readonly log: Logger;
}

/** Receives what other nodes have counted and what upstreams have said to them. */
export interface CountsElsewhere {
  counted(node: string, row: StoredCount): void;
  read(owner: string, reading: StoredReading): void;
}

interface CountRow {
  readonly node: string;
  readonly kind: string;
  readonly owner: string;
  readonly key: string;
  readonly windowMs: number;
  readonly buckets: string;
  readonly change: number;
}

const PUT_COUNTS = `INSERT INTO hubgate.count AS c (node, kind, owner, key, window_ms, buckets, change)
  SELECT $1, r.kind, r.owner, r.key, r.window_ms, r.buckets, nextval('hubgate.count_change')
  FROM json_to_recordset($2::json) AS r (kind text, owner text, key text, window_ms double precision, buckets text)
  ON CONFLICT (node, kind, owner, key) DO UPDATE SET window_ms = excluded.window_ms, buckets = excluded.buckets,
    change = excluded.change, at = now()`;

const PUT_READING = `INSERT INTO hubgate.quota_reading AS q (owner, said, read_at) VALUES ($1, $2, $3)
  ON CONFLICT (owner) DO UPDATE SET said = excluded.said, read_at = excluded.read_at
  WHERE q.read_at < excluded.read_at`;

/** A change that began before another one may be committed after it, so the last ones are read again. */
const OVERLAP = 1_000;

export class SharedCounts implements AsyncDisposable {
  readonly #options: SharedCountsOptions;
  /** The counts of this node that the database does not have yet, by their places. */
  readonly #counts = new Map<string, StoredCount>();
  readonly #readings = new Map<string, StoredReading>();
  readonly #sharing: AsyncDisposable;
  #elsewhere: CountsElsewhere | undefined;
  #seen = 0;

  constructor(options: SharedCountsOptions) {
    this.#options = options;
    this.#sharing = runPeriodically(SHARE_COUNTS_EVERY, async () => void (await this.#share()), options.log);
  }

  /** Tells `elsewhere` what other nodes have counted, from now on. */
  follow(elsewhere: CountsElsewhere): void {
    this.#elsewhere = elsewhere;
  }

  /** Tells the other nodes what has changed here. */
  put(counts: readonly StoredCount[], readings: readonly AccountReading[]): void {
    for (const count of counts) this.#counts.set(`${count.kind} ${count.owner} ${count.key}`, count);
    for (const { owner, reading } of readings) this.#readings.set(owner, reading);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sharing[Symbol.asyncDispose]();
    await this.#share();
  }

  async #share(): Promise<void> {
    try {
      await this.#write();
      await this.#read();
    } catch (error) {
      // Without the database each node counts alone, and tells the rest later.
      if (!(error instanceof DatabaseUnavailable)) throw error;
    }
  }

  async #write(): Promise<void> {
    const { database, node } = this.#options;
    const counts = [...this.#counts];
    const rows = counts.map(([, { kind, owner, key, windowMs: window_ms, buckets }]) => {
      return { kind, owner, key, window_ms, buckets: JSON.stringify(buckets) };
    });
    if (rows.length > 0) await database.change(PUT_COUNTS, [node, JSON.stringify(rows)]);
    for (const [place, count] of counts) if (this.#counts.get(place) === count) this.#counts.delete(place);
    for (const [owner, reading] of [...this.#readings]) {
      await database.change(PUT_READING, [owner, JSON.stringify(reading), reading.quota.readAt]);
      if (this.#readings.get(owner) === reading) this.#readings.delete(owner);
    }
  }

  async #read(): Promise<void> {
    const { database, node } = this.#options;
    const rows = await database.rows<CountRow>(
      `SELECT node, kind, owner, key, window_ms AS "windowMs", buckets, change FROM hubgate.count
        WHERE change > $1 AND node <> $2 AND at > now() - $3 * interval '1 day' ORDER BY change`,
      [Math.max(0, this.#seen - OVERLAP), node, KEEP_COUNTS_FOR],
    );
    for (const { node: other, change, ...row } of rows) {
      this.#elsewhere?.counted(other, COUNTER.parse(row));
      this.#seen = Math.max(this.#seen, change);
    }
    const readings = await database.rows<{ owner: string; said: string }>(
      'SELECT owner, said FROM hubgate.quota_reading',
    );
    for (const { owner, said } of readings) this.#elsewhere?.read(owner, READING.parse(JSON.parse(said)));
  }
}
