import type { Network } from '../platform/network.ts';
import type { Pattern } from './pattern.ts';
import type { RuleData } from './policy-data.ts';
import type { SubjectPattern } from './subject-pattern.ts';

/** A rule whose patterns are compiled. */
export interface Rule {
  readonly data: RuleData;
  /** The rule with the lowest precedence of all that match decides. */
  readonly precedence: number;
  /** The repositories that the rule is about, whatever its action is. */
  readonly patterns: readonly Pattern[];
  readonly to: readonly SubjectPattern[];
  readonly from?: Network;
  readonly tags?: readonly Pattern[];
}
