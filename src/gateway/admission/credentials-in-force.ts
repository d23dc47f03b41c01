import { setInterval } from 'node:timers/promises';
import { type Subject, writeSubject } from '../../access/subject.ts';
import type { Logger } from '../../platform/log.ts';
import type { AuthClient } from './auth-client.ts';

/** Is a credential still in force? So a token dies with the password that it was issued for, within a second. */
export interface LiveCredentials extends Disposable {
  includes(credential: string, subject: Subject): boolean;
}

const INTERVAL_MS = 300;

/**
 * Follows what auth says. While auth cannot be asked, what it said last holds: no token is issued meanwhile either, so
 * that ends with the life of those that there are.
 */
export async function followCredentials(auth: AuthClient, log: Logger): Promise<LiveCredentials> {
  let current = await auth.credentials(undefined);
  const stop = new AbortController();
  const look = async () => {
    current = (await auth.credentials(current?.etag)) ?? current;
  };
  const follow = async () => {
    for await (const _ of setInterval(INTERVAL_MS, undefined, { signal: stop.signal, ref: false })) {
      await look().catch((error: Error) => log.warn({ error: error.message }, 'auth cannot be asked'));
    }
  };
  follow().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  return {
    includes: (credential, subject) => current?.subjects.get(credential) === writeSubject(subject),
    [Symbol.dispose]: () => stop.abort(),
  };
}
