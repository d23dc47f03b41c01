import { createHmac, randomBytes } from 'node:crypto';
import { isName } from '../../../access/subject.ts';
import { ExpiringCache } from '../../../platform/expiring-cache.ts';
import { DeadlineError } from '../../../platform/scheduling/deadline.ts';
import { FairQueue, QueueFullError } from '../../../platform/scheduling/fair-queue.ts';
import { LDAP, PASSWORD_CHECK, PASSWORD_LENGTH } from '../../limits.ts';
import type { StoredPerson } from '../../state/stored-person.ts';
import type { PasswordAttempt } from '../check-password.ts';
import { loginNetwork } from '../login-network.ts';
import { bindPerson } from './bind-person.ts';
import { type DirectoryPerson, DirectoryUnavailable } from './directory.ts';
import { DirectoryBreaker } from './directory-breaker.ts';
import type { DirectoryLoginsOptions, OpenedDirectory, WatchedQuestion } from './opened-directory.ts';

export type DirectoryVerdict =
  | { readonly kind: 'right'; readonly person: StoredPerson }
  | { readonly kind: 'wrong' }
  /** The password is right, and the name cannot be used. The words are for the person. */
  | { readonly kind: 'refused'; readonly words: string }
  | { readonly kind: 'busy' }
  | { readonly kind: 'unavailable'; readonly login: string };

/**
 * Judges the password of somebody who is not in the users file, by the LDAP directories.
 * @param place `everywhere` asks only the directories whose passwords are accepted everywhere
 */
export type DirectoryPasswords = (
  attempt: PasswordAttempt,
  place: 'console' | 'everywhere',
) => Promise<DirectoryVerdict>;

export interface DirectoryPasswordsOptions extends DirectoryLoginsOptions {
  readonly opened: readonly OpenedDirectory[];
  readonly watched: WatchedQuestion;
}

type LdapEntry = Extract<OpenedDirectory, { readonly ldap: unknown }> & {
  readonly breaker: DirectoryBreaker;
};
type Judged =
  | { readonly by: LdapEntry; readonly said: DirectoryPerson }
  | Exclude<DirectoryVerdict, { kind: 'right' | 'refused' }>;

export function createDirectoryPasswords(options: DirectoryPasswordsOptions): DirectoryPasswords {
  const { opened, state, users, delays, refresh, watched, clock } = options;
  const directories = opened.flatMap((one) =>
    'ldap' in one ? [{ ...one, breaker: new DirectoryBreaker(clock) }] : [],
  );
  const queue = new FairQueue(LDAP.queue);
  const cached = new ExpiringCache<{ readonly person: StoredPerson }>(PASSWORD_CHECK.maxCached, clock);
  // The key is useless to somebody who reads it in memory, because each start makes another one.
  const key = randomBytes(32);
  const memoryOf = (...parts: readonly string[]) =>
    createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64');

  const askOne = async (by: LdapEntry, { username, password }: PasswordAttempt): Promise<Judged> => {
    const { name } = by.login;
    try {
      const said = await by.breaker.run(() => watched(name, () => by.ldap.authenticate(username, password)));
      return said === undefined ? { kind: 'wrong' } : { by, said };
    } catch (error) {
      if (error instanceof DirectoryUnavailable) return { kind: 'unavailable', login: name };
      throw error;
    }
  };

  /** Asks one directory after the other. The one that the name is bound to is the only one that can say yes. */
  const askAll = async (asked: readonly LdapEntry[], attempt: PasswordAttempt): Promise<Judged> => {
    let verdict: Judged = { kind: 'wrong' };
    for (const by of asked) {
      const judged = await askOne(by, attempt);
      if ('said' in judged) return judged;
      if (judged.kind === 'unavailable') verdict = judged;
    }
    return verdict;
  };

  const judge = async (asked: readonly LdapEntry[], attempt: PasswordAttempt): Promise<Judged> => {
    const { address, signal } = attempt;
    const place = { deadline: LDAP.queued, signal };
    return queue
      .run(loginNetwork(address), place, () => askAll(asked, attempt))
      .catch((error: unknown) => {
        if (error instanceof QueueFullError || error instanceof DeadlineError || signal?.aborted)
          return { kind: 'busy' } as const;
        throw error;
      });
  };

  /** A remembered verdict holds only while the person is the same. */
  const remembered = async (memory: string): Promise<StoredPerson | undefined> => {
    const known = cached.get(memory)?.person;
    const current = known && (await state.person(known.name));
    const isSame = current?.stableId === known?.stableId && current?.refusedAt === null;
    return isSame ? current : undefined;
  };

  return async (attempt, place) => {
    const { username, password } = attempt;
    const allowed = directories.filter(
      ({ login }) => place === 'console' || login.passwords === 'everywhere',
    );
    if (allowed.length === 0 || !mayBeRight(attempt)) return { kind: 'wrong' };
    const memory = memoryOf(username, password);
    const known = place === 'everywhere' ? await remembered(memory) : undefined;
    if (known !== undefined) return { kind: 'right', person: known };
    const bound = await state.person(username);
    const asked = allowed.filter(({ login }) => bound === undefined || bound.login === login.name);
    const judged = await delays.delayed(attempt, () => judge(asked, attempt), outcomeOf);
    if (judged === undefined) return { kind: 'busy' };
    if (!('said' in judged)) return judged;
    const { by, said } = judged;
    const now = clock();
    const result = await bindPerson(said, {
      ...{ state, users: users.current, login: by.login.name, refresh: null, now },
    });
    if ('refused' in result) return { kind: 'refused', words: result.refused };
    await refresh();
    if (by.login.passwords === 'everywhere') cached.set(memory, result, PASSWORD_CHECK.cachedFor);
    return { kind: 'right', person: result.person };
  };
}

/** Many directories accept an empty password as a login of nobody (RFC 4513, section 5.1.2). */
function mayBeRight({ username, password }: PasswordAttempt): boolean {
  return password !== '' && password.length <= PASSWORD_LENGTH.most && isName(username);
}

function outcomeOf(judged: Judged): 'right' | 'wrong' | 'unknown' {
  if ('said' in judged) return 'right';
  return judged.kind === 'wrong' ? 'wrong' : 'unknown';
}
