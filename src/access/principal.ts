import type { Subject } from './subject.ts';

/** The one who asks, as a credential proved it. Auth answers with it, and the policy decides by it. */
export interface Principal {
  readonly subject: Subject;
  /** The id of the presented credential. */
  readonly credential: string;
}
