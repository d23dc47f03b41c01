import { getOrInsert } from '../platform/get-or-insert.ts';
import type { Pattern } from './pattern.ts';
import type { Rule } from './rule.ts';

export interface RulePattern {
  readonly rule: Rule;
  readonly pattern: Pattern;
}

/** Up to this number, all patterns are checked in turn, which costs no more than a lookup by subject. */
const FEW = 8;

/**
 * The patterns that share a literal beginning and ending, in the order of precedence. If there are many, for
 * example because each user has a rule for the same repositories, they are found by the subjects of their
 * rules.
 */
export class CandidateRules {
  readonly #all: RulePattern[] = [];
  readonly #byKey = new Map<string, RulePattern[]>();
  /** The patterns whose rule has a subject pattern without a key. */
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
      else getOrInsert(this.#byKey, key, () => []).push(candidate);
    }
  }

  /**
   * Returns the lists of patterns that may mean a subject with these keys, each in the order of precedence.
   */
  withKeys(keys: readonly string[]): readonly (readonly RulePattern[])[] {
    const found: (readonly RulePattern[])[] = [this.#others];
    for (const key of keys) {
      const list = this.#byKey.get(key);
      if (list !== undefined) found.push(list);
    }
    return found;
  }
}
