import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import type { ObservableValue } from '../../platform/observable-value.ts';
import { DeadlineError } from '../../platform/scheduling/deadline.ts';
import { FairQueue, QueueFullError } from '../../platform/scheduling/fair-queue.ts';
import { SingleFlight } from '../../platform/scheduling/single-flight.ts';
import { HASHES, PASSWORD_CHECK } from '../limits.ts';
import { createDecoyHashes } from './decoy-hashes.ts';
import type { Attempt, LoginDelays, LoginOutcome } from './login-delays.ts';
import { loginNetwork } from './login-network.ts';
import { hashPassword, isWeakerThan, type PasswordParameters, verifyPassword } from './password.ts';
import type { User, Users } from './users-file.ts';

/** Checks the password of a user. It takes as long if there is no such user. */
export type CheckPassword = (attempt: PasswordAttempt) => Promise<PasswordVerdict>;

/**
 * Takes as long as the check of a name that is not in the users file, and judges nothing. Resolves to false
 * if too many passwords wait.
 */
export type SpendHash = (attempt: PasswordAttempt) => Promise<boolean>;

export interface HashingQueue {
  /** Returns the number of passwords that wait to be hashed. */
  waiting(): number;
}

export interface PasswordAttempt extends Attempt {
  readonly password: string;
}

export type PasswordVerdict =
  | { readonly kind: 'right'; readonly user: User; readonly hash: string }
  | { readonly kind: 'wrong' }
  /** More passwords wait than can be checked in time. */
  | { readonly kind: 'busy' };

/**
 * Replaces the stored hash by another hash of the same password. It resolves to the hash that is now in the
 * file.
 */
export type RehashPassword = (name: string, from: string, to: string) => Promise<string>;

export interface CheckPasswordOptions {
  readonly users: ObservableValue<Users>;
  /** The parameters of new hashes. */
  readonly parameters: PasswordParameters;
  readonly delays: LoginDelays;
  readonly renewHash: RehashPassword;
  /**
   * True if nobody else may judge a password. Verdicts of directories on wrong passwords are not remembered,
   * so those on the users file are not either: the second answer would tell who is in the file.
   */
  readonly remembersWrong: boolean;
  readonly clock: Clock;
  /** The clock that measures waiting. Tests pass another one. */
  readonly monotonic?: Clock;
}

/** The verdict on a password. If it is right, `hash` is the hash that is now in force. */
type JudgedPassword = { readonly right: true; readonly hash: string } | { readonly right: false };

export async function createCheckPassword(
  options: CheckPasswordOptions,
): Promise<CheckPassword & HashingQueue & { readonly spendHash: SpendHash }> {
  const { users, parameters, delays, renewHash, remembersWrong } = options;
  const { clock, monotonic = () => performance.now() } = options;
  const queue = new FairQueue(HASHES);
  const cached = new ExpiringCache<JudgedPassword>(PASSWORD_CHECK.maxCached, clock);
  const judging = new SingleFlight<JudgedPassword | 'given up' | undefined>();
  // The key is useless to somebody who reads it in memory, because each start makes another one.
  const key = randomBytes(32);
  const decoyFor = createDecoyHashes(await hashPassword('', parameters), key);
  /**
   * Returns the cache key. The hash is a part of it, so that verdicts on the old password do not apply after
   * a change.
   */
  const cacheKeyOf = (...parts: readonly string[]) =>
    createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64');

  const verify = async ({ username, password }: PasswordAttempt): Promise<JudgedPassword> => {
    // The user is read after every wait, because the entry may have changed.
    const user = users.current.get(username);
    const hash = user?.passwordHash ?? decoyFor(username, users.current);
    const fits = await verifyPassword(hash, password);
    const isRight = fits && user?.passwordHash !== undefined && !user.isDisabled;
    return isRight ? { right: true, hash } : { right: false };
  };

  /** The result is undefined if the queue is full, or if nobody needs the verdict any more. */
  const hashing = <T>(
    { address, signal }: PasswordAttempt,
    end: number,
    task: () => Promise<T>,
  ): Promise<T | undefined> => {
    const deadline = Math.max(0, Math.min(PASSWORD_CHECK.queued, end - monotonic()));
    return queue.run(loginNetwork(address), { deadline, signal }, task).catch((error: unknown) => {
      if (error instanceof QueueFullError || error instanceof DeadlineError || signal?.aborted)
        return undefined;
      throw error;
    });
  };

  const judge = async (attempt: PasswordAttempt, end: number): Promise<JudgedPassword | undefined> => {
    const judged = await hashing(attempt, end, () => verify(attempt));
    if (!judged?.right || !isWeakerThan(judged.hash, parameters)) return judged;
    const better = await hashing(attempt, end, () => hashPassword(attempt.password, parameters));
    if (better === undefined) return judged;
    return { right: true, hash: await renewHash(attempt.username, judged.hash, better) };
  };

  const judgeOnce = async (attempt: PasswordAttempt): Promise<JudgedPassword | undefined> => {
    const { username, password } = attempt;
    const user = users.current.get(username);
    // A password that is wrong while its user is disabled may be right when the user is enabled, hence the
    // empty hash.
    const hash = (user?.isDisabled ? undefined : user?.passwordHash) ?? '';
    const cacheKey = cacheKeyOf(username, hash, password);
    const known = cached.get(cacheKey);
    if (known !== undefined) return known;
    const answer = await judging.run(cacheKey, async () => {
      const end = monotonic() + PASSWORD_CHECK.total;
      const judged = await delays.delayed(attempt, () => judge(attempt, end), outcomeOf);
      if (judged?.right || (judged && remembersWrong)) cached.set(cacheKey, judged, PASSWORD_CHECK.cachedFor);
      if (judged?.right)
        cached.set(cacheKeyOf(username, judged.hash, password), judged, PASSWORD_CHECK.cachedFor);
      return judged === undefined && attempt.signal?.aborted ? 'given up' : judged;
    });
    if (answer !== 'given up') return answer;
    // The client that sent the same password first has gone, but another client still waits.
    return attempt.signal?.aborted ? undefined : judgeOnce(attempt);
  };

  const check = async (attempt: PasswordAttempt): Promise<PasswordVerdict> => {
    const judged = await judgeOnce(attempt);
    if (judged === undefined) return { kind: 'busy' };
    const user = users.current.get(attempt.username);
    // If the hash has changed, the verdict is about an earlier password.
    if (!judged.right || user === undefined || user.isDisabled || user.passwordHash !== judged.hash)
      return { kind: 'wrong' };
    return { kind: 'right', user, hash: judged.hash };
  };
  const spendHash: SpendHash = async (attempt) =>
    (await hashing(attempt, monotonic() + PASSWORD_CHECK.total, () => verify(attempt))) !== undefined;
  return Object.assign(check, { spendHash, waiting: () => queue.waiting });
}

function outcomeOf(judged: JudgedPassword | undefined): LoginOutcome {
  if (judged === undefined) return 'unknown';
  return judged.right ? 'right' : 'wrong';
}
