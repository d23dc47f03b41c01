import { type Subject, writeSubject } from '../../access/subject.ts';
import type { Logger } from '../../platform/log.ts';
import type { AuthClient } from './auth-client.ts';
import { followAuth } from './followed.ts';

/** Is a credential still in force? So a token dies with the password that it was issued for, within a second. */
export interface LiveCredentials extends Disposable {
  include(credential: string, subject: Subject): Promise<boolean>;
}

export async function followCredentials(auth: AuthClient, log: Logger): Promise<LiveCredentials> {
  const followed = await followAuth((options) => auth.credentials(options), log);
  const isKnown = (credential: string, subject: Subject) =>
    followed.current.get(credential)?.subject === writeSubject(subject);
  return {
    async include(credential, subject) {
      if (isKnown(credential, subject)) return true;
      // Auth signed the token, so it may know of a credential that is younger than what it said last; and what it is
      // just being asked may have been asked before that one was made.
      await followed.refresh();
      if (!isKnown(credential, subject)) await followed.refresh();
      return isKnown(credential, subject);
    },
    [Symbol.dispose]: () => followed[Symbol.dispose](),
  };
}
