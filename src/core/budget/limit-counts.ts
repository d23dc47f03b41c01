import type { BudgetReport } from '../../protocol/budget-report.ts';
import type { Budget, QuotaRefusal } from '../../protocol/core-api.ts';
import { CountTable } from './count-table.ts';
import type { SlidingCount } from './sliding-count.ts';

type Unit = 'pulls' | 'bytes';
type Allowance = NonNullable<Budget['pulls']>;

/** The counts of one limit for one unit: one for all its subjects, or one for each. */
interface LimitCounts {
  readonly table: CountTable;
  /** As the policy last said. Undefined after a restart until the limit applies to a request again. */
  allowance: Allowance | undefined;
  refusals: number;
  /** When the limit last applied to a request. */
  appliedAt: number;
}

/** The counts of all limits of the policy for one unit. */
export class LimitTables {
  readonly #unit: Unit;
  readonly #onChange: () => void;
  readonly #limits = new Map<string, LimitCounts>();

  constructor(unit: Unit, onChange: () => void) {
    this.#unit = unit;
    this.#onChange = onChange;
  }

  get tables(): readonly CountTable[] {
    return Array.from(this.#limits.values(), ({ table }) => table);
  }

  /** Returns the table of a limit for what the file has of it. */
  tableOf(limit: string): CountTable {
    return this.#of(limit).table;
  }

  /** Returns the refusal that holds for longest, if a budget has less than one pull, or no byte, left. */
  refusal(budgets: readonly Budget[], now: number): QuotaRefusal | undefined {
    let longest: QuotaRefusal | undefined;
    for (const budget of budgets) {
      const allowance = budget[this.#unit];
      if (allowance === undefined) continue;
      const limit = this.#of(budget.limit);
      limit.allowance = allowance;
      limit.appliedAt = now;
      const count = limit.table.count(budget.key, allowance.windowMs, now);
      const used = count.total(now);
      if (used < allowance.max) continue;
      const refusal = this.#refuse(budget.limit, allowance, count, used, now);
      if (longest === undefined || untilOf(refusal) > untilOf(longest)) longest = refusal;
    }
    if (longest?.id !== undefined) this.#of(longest.id).refusals++;
    return longest;
  }

  add(budgets: readonly Budget[], amount: number, now: number): void {
    for (const budget of budgets) {
      const windowMs = budget[this.#unit]?.windowMs;
      if (windowMs !== undefined) this.#of(budget.limit).table.add(budget.key, windowMs, amount, now);
    }
  }

  takeBack(budgets: readonly Budget[], amount: number, since: number): void {
    for (const budget of budgets)
      if (budget[this.#unit] !== undefined) this.#of(budget.limit).table.takeBack(budget.key, amount, since);
  }

  /** Forgets what has left its window. */
  forget(now: number): void {
    for (const [id, { table, allowance, appliedAt }] of this.#limits) {
      table.forgetEmpty(now);
      const isRecent = allowance !== undefined && appliedAt + allowance.windowMs > now;
      if (table.size === 0 && table.changes().length === 0 && !isRecent) this.#limits.delete(id);
    }
  }

  report(now: number): BudgetReport['limits'] {
    const unit = this.#unit;
    return Array.from(this.#limits).flatMap(([limit, { table, allowance, refusals }]) => {
      if (allowance === undefined) return [];
      const { max, windowMs } = allowance;
      return [{ limit, unit, used: table.largest(now), max, windowMs, budgets: table.size, refusals }];
    });
  }

  #refuse(id: string, { max, windowMs }: Allowance, count: SlidingCount, used: number, now: number) {
    const refusal: QuotaRefusal = { kind: 'limit', id, unit: this.#unit, used, max, windowMs };
    return max === 0 ? refusal : { ...refusal, untilMs: count.leavesAt(max - 1, now) };
  }

  #of(limit: string): LimitCounts {
    const known = this.#limits.get(limit);
    if (known !== undefined) return known;
    const table = new CountTable(`limit-${this.#unit}`, limit, this.#onChange);
    const counts: LimitCounts = { table, allowance: undefined, refusals: 0, appliedAt: 0 };
    this.#limits.set(limit, counts);
    return counts;
  }
}

/** A limit of 0 holds for ever. */
function untilOf({ untilMs = Number.POSITIVE_INFINITY }: QuotaRefusal): number {
  return untilMs;
}
