import type { Subject } from './subject.ts';

/** Who asks, as a credential proved it: what auth answers, and what the policy decides by. */
export interface Principal {
  readonly subject: Subject;
  /** The id of the presented credential. */
  readonly credential: string;
}
