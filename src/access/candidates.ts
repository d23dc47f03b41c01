import type { Pattern } from './pattern.ts';
import type { Rule } from './policy.ts';

export interface RulePattern {
  readonly rule: Rule;
  readonly pattern: Pattern;
}

/** Of so many, each is looked at: that costs no more than finding out which ones mean the subject. */
const FEW = 8;

/**
 * Patterns of rules that begin alike and end alike, in the order of precedence. Where there are many, as where each
 * user has a rule for the same repositories, they are found by whom their rules mean.
 */
export class Candidates {
  readonly #all: RulePattern[] = [];
  readonly #byKey = new Map<string, RulePattern[]>();
  /** Those whose rule means somebody who is not to be found by a key. */
  readonly #others: RulePattern[] = [];

  get all(): readonly RulePattern[] {
    return this.#all;
  }

  get areFew(): boolean {
    return this.#all.length <= FEW;
  }

  add(candidate: RulePattern): void {
    this.#all.push(candidate);
    if (this.areFew) return;
    for (const one of this.#all.length === FEW + 1 ? this.#all : [candidate]) this.#addByKey(one);
  }

  #addByKey(candidate: RulePattern): void {
    const keys = new Set(candidate.rule.to.map(({ key }) => key));
    for (const key of keys) {
      if (key === undefined) this.#others.push(candidate);
      else this.#byKey.getOrInsertComputed(key, () => []).push(candidate);
    }
  }

  /** Lists of those of many that may mean a subject with these keys, each in the order of precedence. */
  for(keys: readonly string[]): readonly (readonly RulePattern[])[] {
    const found: (readonly RulePattern[])[] = [this.#others];
    for (const key of keys) {
      const list = this.#byKey.get(key);
      if (list !== undefined) found.push(list);
    }
    return found;
  }
}
