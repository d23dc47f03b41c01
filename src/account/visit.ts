import type { Clock } from '../platform/clock.ts';
import type { ShownSession } from '../protocol/account-api.ts';
import type { AccountRequest } from './account-request.ts';
import type { Activity, ActivityRequest } from './activity.ts';
import type { AccountAuthClient } from './auth-client.ts';
import type { PageUser } from './pages/layout.ts';
import type { SnippetMirror } from './snippets.ts';

export interface AccountDependencies {
  readonly auth: AccountAuthClient;
  readonly mirror: SnippetMirror;
  /** Reads one user's lines of the audit log. The requests of one user wait for each other. */
  readonly readActivity: (request: Omit<ActivityRequest, 'file'>) => Promise<Activity>;
  readonly clock: Clock;
}

/** A request of somebody who has logged in. */
export interface Visit {
  readonly request: AccountRequest;
  /** The id of the session. */
  readonly session: string;
  readonly shown: ShownSession;
  readonly user: PageUser;
}
