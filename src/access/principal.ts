import type { Subject } from './subject.ts';

/** Who asks, as a credential proved it: what auth answers, and what the policy decides by. */
export interface Principal {
  readonly subject: Subject;
  /**
   * The groups that the subject brings, for example from a directory, besides those of the policy. No way to
   * log in brings any so far, and tokens contain none.
   */
  readonly groups: readonly string[];
  /** The id of the presented credential. */
  readonly credential: string;
}
