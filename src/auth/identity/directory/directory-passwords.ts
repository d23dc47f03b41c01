import { createHmac, randomBytes } from 'node:crypto';
import { isName } from '../../../access/subject.ts';
import { ExpiringCache } from '../../../platform/expiring-cache.ts';
import { DeadlineError } from '../../../platform/scheduling/deadline.ts';
import { FairQueue, QueueFullError } from '../../../platform/scheduling/fair-queue.ts';
import { LDAP, PASSWORD_CHECK, PASSWORD_LENGTH } from '../../limits.ts';
import type { StoredPerson } from '../../state/stored-person.ts';
import type { PasswordAttempt } from '../check-password.ts';
import type { Attempt } from '../login-delays.ts';
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

/** `everywhere` asks only the directories whose passwords are accepted everywhere. */
type PasswordPlace = 'console' | 'everywhere';
type Unknown = Exclude<DirectoryVerdict, { kind: 'right' | 'refused' }>;

/**
 * Judges passwords by the LDAP directories. The time of an answer does not tell who is in the users file,
 * because a wrong password always costs one hash and one question to the directories.
 */
export interface DirectoryPasswords {
  /** Judges the password of somebody who is not in the users file. */
  judge(attempt: PasswordAttempt, place: PasswordPlace): Promise<DirectoryVerdict>;
  /** Asks for nobody, after a wrong password of a name in the users file. The attempt has been counted. */
  askForNobody(attempt: PasswordAttempt, place: PasswordPlace): Promise<Unknown>;
}

export interface DirectoryPasswordsOptions extends DirectoryLoginsOptions {
  readonly opened: readonly OpenedDirectory[];
  readonly watched: WatchedQuestion;
}

type AskedDirectory = Extract<OpenedDirectory, { readonly ldap: unknown }> & {
  readonly breaker: DirectoryBreaker;
};
type LdapVerdict = { readonly by: AskedDirectory; readonly said: DirectoryPerson } | Unknown;

export function createDirectoryPasswords(options: DirectoryPasswordsOptions): DirectoryPasswords {
  const { opened, state, users, delays, spendHash, refresh, watched, clock } = options;
  const directories = opened.flatMap((one) =>
    'ldap' in one ? [{ ...one, breaker: new DirectoryBreaker(clock) }] : [],
  );
  const queue = new FairQueue(LDAP.queue);
  const cached = new ExpiringCache<{ readonly person: StoredPerson }>(PASSWORD_CHECK.maxCached, clock);
  // The key is useless to somebody who reads it in memory, because each start makes another one.
  const key = randomBytes(32);
  const memoryOf = (...parts: readonly string[]) =>
    createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64');

  const askOne = async (
    by: AskedDirectory,
    { username, password }: PasswordAttempt,
  ): Promise<LdapVerdict> => {
    const { name } = by.login;
    try {
      const said = await by.breaker.run(() => watched(name, () => by.ldap.authenticate(username, password)));
      return said === undefined ? { kind: 'wrong' } : { by, said };
    } catch (error) {
      if (error instanceof DirectoryUnavailable) return { kind: 'unavailable', login: name };
      throw error;
    }
  };

  /**
   * Asks one directory after the other. The one that the name is bound to is the only one that can say yes.
   */
  const askAll = async (asked: readonly AskedDirectory[], attempt: PasswordAttempt): Promise<LdapVerdict> => {
    let verdict: LdapVerdict = { kind: 'wrong' };
    for (const by of asked) {
      const judged = await askOne(by, attempt);
      if ('said' in judged) return judged;
      if (judged.kind === 'unavailable') verdict = judged;
    }
    return verdict;
  };

  const judge = async (asked: readonly AskedDirectory[], attempt: PasswordAttempt): Promise<LdapVerdict> => {
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

  const allowedAt = (place: PasswordPlace) =>
    directories.filter(({ login }) => place === 'console' || login.passwords === 'everywhere');

  const askForNobody = async (
    { address, counts, signal }: PasswordAttempt,
    place: PasswordPlace,
  ): Promise<Unknown> => {
    const [username, password] = [`nobody-${randomBytes(12).toString('hex')}`, 'of nobody'];
    const judged = await judge(allowedAt(place), { username, password, address, counts, signal });
    return 'said' in judged ? { kind: 'wrong' } : judged;
  };

  /** An attempt that cannot be right takes as long as one that can. */
  const ask = async (attempt: PasswordAttempt, place: PasswordPlace): Promise<LdapVerdict> => {
    if (!(await spendHash(attempt))) return { kind: 'busy' };
    if (!mayBeRight(attempt)) return askForNobody(attempt, place);
    const bound = await state.person(attempt.username);
    const asked = allowedAt(place).filter(({ login }) => bound === undefined || bound.login === login.name);
    return judge(asked, attempt);
  };

  const judgePerson: DirectoryPasswords['judge'] = async (attempt, place) => {
    const { username, password } = attempt;
    if (password.length > PASSWORD_LENGTH.most) return { kind: 'wrong' };
    const memory = memoryOf(username, password);
    const known = place === 'everywhere' ? await remembered(memory) : undefined;
    if (known !== undefined) return { kind: 'right', person: known };
    const judged = await delays.delayed(guessOf(attempt), () => ask(attempt, place), outcomeOf);
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
  return { judge: judgePerson, askForNobody };
}

/** Many directories accept an empty password as a login of nobody (RFC 4513, section 5.1.2). */
function mayBeRight({ username, password }: PasswordAttempt): boolean {
  return password !== '' && isName(username);
}

/**
 * Returns what a wrong password counts against. Directories find a name in upper and in lower case, so each
 * way to write it is the same name here. No entry of the users file has a name with a slash.
 */
function guessOf({ username, address, counts, signal }: PasswordAttempt): Attempt {
  return { username: `directory/${username.toLowerCase()}`, address, counts, signal };
}

function outcomeOf(judged: LdapVerdict): 'right' | 'wrong' | 'unknown' {
  if ('said' in judged) return 'right';
  return judged.kind === 'wrong' ? 'wrong' : 'unknown';
}
