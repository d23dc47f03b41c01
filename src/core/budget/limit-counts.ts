import type { BudgetReport, UsedBudgets } from '../../protocol/budget-report.ts';
import type { Budget, QuotaRefusal } from '../../protocol/core-api.ts';
import { CountTable, type TableEntry } from './count-table.ts';

type Unit = 'pulls' | 'bytes';
type Allowance = NonNullable<Budget['pulls']>;

/** The counts of one limit for one unit: one for all its subjects, or one for each. */
interface LimitCounts {
  readonly table: CountTable;
  /**
   * The allowance that the policy last had. It is undefined after a restart until the limit applies to a
   * request.
   */
  allowance: Allowance | undefined;
  refusals: number;
  /** The time at which the limit last applied to a request. */
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

  /** Finds the counts of budgets, so that a pull is decided and counted with one search for each. */
  charge(budgets: readonly Budget[], now: number): LimitCharge {
    const parts: ChargedPart[] = [];
    for (const { limit: id, key, [this.#unit]: allowance } of budgets) {
      if (allowance === undefined) continue;
      const limit = this.#of(id);
      limit.allowance = allowance;
      limit.appliedAt = now;
      const entry = limit.table.find(key);
      entry?.count.resize(allowance.windowMs, now);
      parts.push({ id, key, limit, allowance, entry });
    }
    return new LimitCharge(this.#unit, parts);
  }

  /** Forgets what has left its window. */
  forget(now: number): void {
    for (const [id, { table, allowance, appliedAt }] of this.#limits) {
      table.forgetEmpty(now);
      const isRecent = allowance !== undefined && appliedAt + allowance.windowMs > now;
      if (table.size === 0 && table.changes().length === 0 && !isRecent) this.#limits.delete(id);
    }
  }

  /** Returns what is used of those budgets that limit this unit. */
  used(budgets: readonly Budget[], now: number): UsedBudgets {
    const unit = this.#unit;
    return budgets.flatMap(({ limit, key, [unit]: allowance }) =>
      allowance === undefined
        ? []
        : [{ limit, unit, used: this.#limits.get(limit)?.table.total(key, now) ?? 0 }],
    );
  }

  report(now: number): BudgetReport['limits'] {
    const unit = this.#unit;
    return Array.from(this.#limits).flatMap(([limit, { table, allowance, refusals }]) => {
      if (allowance === undefined) return [];
      const { max, windowMs } = allowance;
      return [{ limit, unit, used: table.largest(now), max, windowMs, budgets: table.size, refusals }];
    });
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

/** One budget of a charge. */
interface ChargedPart {
  readonly id: string;
  readonly key: string;
  readonly limit: LimitCounts;
  readonly allowance: Allowance;
  /** Undefined if nothing was charged to the budget yet. */
  entry: TableEntry | undefined;
}

/** The budgets that one pull or download is charged to. */
class LimitCharge {
  readonly #unit: Unit;
  readonly #parts: readonly ChargedPart[];

  constructor(unit: Unit, parts: readonly ChargedPart[]) {
    this.#unit = unit;
    this.#parts = parts;
  }

  /** Returns the refusal that holds for longest, if a budget has less than one pull, or no byte, left. */
  refusal(now: number): QuotaRefusal | undefined {
    let longest: QuotaRefusal | undefined;
    let by: ChargedPart | undefined;
    for (const part of this.#parts) {
      const used = part.entry?.count.total(now) ?? 0;
      if (used < part.allowance.max) continue;
      const refusal = this.#refuse(part, used, now);
      if (longest !== undefined && untilOf(refusal) <= untilOf(longest)) continue;
      longest = refusal;
      by = part;
    }
    if (by !== undefined) by.limit.refusals++;
    return longest;
  }

  add(amount: number, now: number): void {
    for (const part of this.#parts) {
      const { table } = part.limit;
      part.entry ??= table.entry(part.key, part.allowance.windowMs, now);
      table.add(part.entry, amount, now);
    }
  }

  takeBack(amount: number, since: number): void {
    for (const { limit, entry } of this.#parts)
      if (entry !== undefined) limit.table.takeBack(entry, amount, since);
  }

  #refuse({ id, allowance, entry }: ChargedPart, used: number, now: number): QuotaRefusal {
    const refusal: QuotaRefusal = { kind: 'limit', id, unit: this.#unit, used, ...allowance };
    if (allowance.max === 0 || entry === undefined) return refusal;
    return { ...refusal, untilMs: entry.count.fallsToAt(allowance.max - 1, now) };
  }
}

/** A limit of 0 holds for ever. */
function untilOf({ untilMs = Number.POSITIVE_INFINITY }: QuotaRefusal): number {
  return untilMs;
}
