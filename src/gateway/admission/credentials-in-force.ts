import { setInterval } from 'node:timers/promises';
import { type Subject, writeSubject } from '../../access/subject.ts';
import type { Logger } from '../../platform/log.ts';
import { SingleFlight } from '../../platform/single-flight.ts';
import type { AuthClient } from './auth-client.ts';

/** Is a credential still in force? So a token dies with the password that it was issued for, within a second. */
export interface LiveCredentials extends Disposable {
  include(credential: string, subject: Subject): Promise<boolean>;
}

const INTERVAL_MS = 300;

/**
 * Follows what auth says. While auth cannot be asked, what it said last holds: no token is issued meanwhile either, so
 * that ends with the life of those that there are.
 */
export async function followCredentials(auth: AuthClient, log: Logger): Promise<LiveCredentials> {
  let current = await auth.credentials(undefined);
  const asking = new SingleFlight<void>();
  const ask = () =>
    asking.run('credentials', async () => {
      try {
        current = (await auth.credentials(current?.etag)) ?? current;
      } catch (error) {
        log.warn({ error: (error as Error).message }, 'auth cannot be asked');
      }
    });
  const stop = new AbortController();
  const follow = async () => {
    for await (const _ of setInterval(INTERVAL_MS, undefined, { signal: stop.signal, ref: false }))
      await ask();
  };
  follow().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  const isKnown = (credential: string, subject: Subject) =>
    current?.credentials.get(credential)?.subject === writeSubject(subject);
  return {
    async include(credential, subject) {
      if (isKnown(credential, subject)) return true;
      // Auth signed the token, so it may know of a credential that is younger than what it said last; and what it is
      // just being asked may have been asked before that one was made.
      await ask();
      if (!isKnown(credential, subject)) await ask();
      return isKnown(credential, subject);
    },
    [Symbol.dispose]: () => stop.abort(),
  };
}
