import { BUDGET } from '../limits.ts';
import { CountTable, type StoredCount } from './count-table.ts';
import { startOf } from './sliding-count.ts';

export interface Share {
  readonly used: number;
  /** The pulls that each active subject may make in the window. */
  readonly share: number;
  /** The time at which the subject is below its share again at the latest. */
  readonly untilMs: number;
}

/**
 * The pulls of each subject with one account, and who wants more.
 *
 * A subject is *active* from its first pull in the window until the window has left its last one behind. Its
 * *share* is what this mirror can spend in a window, divided by the active subjects; it is at least one pull.
 *
 * A subject *wants* the quota if it has asked for a pull within the last sixth of the window, whether that
 * was granted or not, and is below its share. It is likely to ask again, so its share is held for it that
 * long. A subject that is above its share does not want more in this sense, and neither does one whose own
 * limit or a reserve refused it: nobody is refused in favour of them.
 */
export class FairShare {
  readonly #pulls: CountTable;
  /**
   * The time of the last request of each subject that asked recently and was below its share. The oldest
   * comes first.
   */
  readonly #asked = new Map<string, number>();
  /** The time of the next search for subjects that are not active any more. */
  #searchAt = 0;

  constructor(owner: string, onChange: () => void) {
    this.#pulls = new CountTable('subject', owner, onChange);
  }

  get table(): CountTable {
    return this.#pulls;
  }

  /** The number of active subjects. */
  get active(): number {
    return this.#pulls.size;
  }

  load(row: StoredCount, now: number): void {
    this.#pulls.load(row);
    const last = row.buckets.at(-1)?.[0];
    // The file has the sub-bucket of the last pull, which is precise enough.
    if (last !== undefined) this.#asked.set(row.key, Math.min(now, startOf(last, row.windowMs)));
  }

  /** Sets what another node of a cluster has counted for a subject. */
  loadElsewhere(node: string, row: StoredCount, now: number): void {
    this.#pulls.loadElsewhere(node, row, now);
    const last = row.buckets.at(-1)?.[0];
    if (last === undefined) return;
    const at = Math.min(now, startOf(last, row.windowMs));
    if (at > (this.#asked.get(row.key) ?? 0)) this.#asked.set(row.key, at);
  }

  share(available: number): number {
    return Math.max(1, Math.floor(available / Math.max(1, this.active)));
  }

  /** Records that a subject asks for a pull. */
  ask(subject: string, windowMs: number, now: number): void {
    this.#forgetInactive(windowMs, now);
    const key = this.#keyOf(subject);
    this.#pulls.count(key, windowMs, now);
    this.#asked.delete(key);
    this.#asked.set(key, now);
  }

  add(subject: string, windowMs: number, now: number): void {
    this.#pulls.add(this.#pulls.entry(this.#keyOf(subject), windowMs, now), 1, now);
  }

  takeBack(subject: string, since: number): void {
    const entry = this.#pulls.find(this.#keyOf(subject));
    if (entry !== undefined) this.#pulls.takeBack(entry, 1, since);
  }

  /** Returns the share that the subject has used up, if another one wants the quota. */
  exceeded(subject: string, available: number, windowMs: number, now: number): Share | undefined {
    const key = this.#keyOf(subject);
    const count = this.#pulls.count(key, windowMs, now);
    const used = count.total(now);
    const share = this.share(available);
    if (used < share || !this.#isWanted(share, windowMs, now)) return undefined;
    return { used, share, untilMs: count.fallsToAt(share - 1, now) };
  }

  /**
   * Returns true if some subject below its share wants more. The subject that asks is above its share, so it
   * is never that one.
   */
  #isWanted(share: number, windowMs: number, now: number): boolean {
    for (const [other, at] of this.#asked) {
      const wants = at > now - windowMs * BUDGET.wantedFor && this.#pulls.total(other, now) < share;
      if (wants) return true;
      // Each subject is looked at once after it has asked, however often others ask.
      this.#asked.delete(other);
    }
    return false;
  }

  #forgetInactive(windowMs: number, now: number): void {
    if (now < this.#searchAt && this.#searchAt - now <= windowMs) return;
    this.#searchAt = now + startOf(1, windowMs);
    this.#pulls.forgetEmpty(now, (key) => (this.#asked.get(key) ?? 0) > now - windowMs * BUDGET.wantedFor);
  }

  /** The subjects beyond the bound are counted together. */
  #keyOf(subject: string): string {
    return this.#pulls.size < BUDGET.subjects || this.#pulls.has(subject) ? subject : '';
  }
}
