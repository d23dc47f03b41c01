import { createHmac, randomBytes } from 'node:crypto';
import pLimit from 'p-limit';
import { compileNarrowing, type Narrowing } from '../../access/narrowing.ts';
import { parseNetwork } from '../../access/network.ts';
import type { Subject } from '../../access/subject.ts';
import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import type { Live } from '../../platform/live.ts';
import { SingleFlight } from '../../platform/single-flight.ts';
import type { Login } from '../../registry/auth-api.ts';
import type { AuthState } from '../state/auth-state.ts';
import { hashPassword, passwordCredential, randomPassword, verifyPassword } from './password.ts';
import { isSecret, parseServiceToken, type ServiceToken, tokenCredential } from './service-token.ts';
import { subjectOf } from './user-subject.ts';
import type { User, Users } from './users-file.ts';

export type Verdict =
  | {
      readonly kind: 'authenticated';
      readonly subject: Subject;
      /** The id of what was shown. */
      readonly credential: string;
      /** What that is less than its subject. */
      readonly narrowing?: Narrowing;
    }
  | { readonly kind: 'wrong' }
  /** More wait to be hashed than can be in good time. */
  | { readonly kind: 'busy' };

/** Who are you? Answers by name and password or token, in the same time whether or not the name is known. */
export type Authenticate = (login: Login, address: string) => Promise<Verdict>;

export interface AuthenticateOptions {
  readonly users: Live<Users>;
  readonly state: AuthState;
  readonly clock: Clock;
}

/** A hash keeps one thread of libuv's four and one core busy; the file system needs the others. */
const CONCURRENT_HASHES = 2;
const MAX_WAITING = 32;
/** A pull of ten layers asks for a token again and again; it need hash only once. */
const REMEMBER_FOR = 60_000;
const MAX_REMEMBERED = 10_000;
/** Nobody's password is longer, and hashing costs by the byte. */
const MAX_PASSWORD_LENGTH = 1024;

export async function createAuthenticate({
  users,
  state,
  clock,
}: AuthenticateOptions): Promise<Authenticate> {
  const limit = pLimit(CONCURRENT_HASHES);
  const verdicts = new ExpiringCache<{ readonly right: boolean }>(MAX_REMEMBERED, clock);
  const verifying = new SingleFlight<boolean | undefined>();
  // Of no use to anybody who reads it in memory: it is made anew at each start.
  const key = randomBytes(32);
  // Unknown names are verified too, against a hash of the same cost that nothing fits.
  const nobody = await hashPassword(randomPassword());

  const isRight = async (username: string, hash: string, password: string): Promise<boolean | undefined> => {
    // The hash is part of the key, so that a changed password forgets the verdicts on the old one.
    const memory = createHmac('sha256', key)
      .update(JSON.stringify([username, hash, password]))
      .digest('base64');
    const remembered = verdicts.get(memory);
    if (remembered !== undefined) return remembered.right;
    return verifying.run(memory, async () => {
      if (limit.pendingCount >= MAX_WAITING) return undefined;
      const right = await limit(() => verifyPassword(hash, password));
      verdicts.set(memory, { right }, REMEMBER_FOR);
      return right;
    });
  };

  const byPassword = async (user: User | undefined, { username, password }: Login): Promise<Verdict> => {
    const hash = user?.isDisabled === true ? undefined : user?.passwordHash;
    const right = await isRight(username, hash ?? nobody, password);
    if (right === undefined) return { kind: 'busy' };
    if (user === undefined || hash === undefined || !right) return { kind: 'wrong' };
    return {
      kind: 'authenticated',
      subject: subjectOf(user),
      credential: passwordCredential(user.name, hash),
    };
  };

  return async (login, address) => {
    if (login.password.length > MAX_PASSWORD_LENGTH) return { kind: 'wrong' };
    const user = users.current.get(login.username);
    const shown = parseServiceToken(login.password);
    return shown === undefined
      ? byPassword(user, login)
      : byServiceToken(shown, user, address, { state, clock });
  };
}

/** By a token that is its owner's, in its time, and shown from where it may be. */
async function byServiceToken(
  shown: ServiceToken,
  owner: User | undefined,
  address: string,
  { state, clock }: Pick<AuthenticateOptions, 'state' | 'clock'>,
): Promise<Verdict> {
  const token = (await state.tokens()).find(({ id }) => id === shown.id);
  if (token === undefined || !isSecret(shown.secret, token.hash)) return { kind: 'wrong' };
  if (owner === undefined || owner.isDisabled || token.owner !== owner.name) return { kind: 'wrong' };
  if (token.expiresAt <= clock()) return { kind: 'wrong' };
  const { pull, from } = token;
  if (from !== null && parseNetwork(from)?.contains(address) !== true) return { kind: 'wrong' };
  await state.useToken(token.id, clock(), address);
  const narrowing = compileNarrowing({ pull: pull ?? undefined, from: from ?? undefined });
  return {
    kind: 'authenticated',
    subject: subjectOf(owner),
    credential: tokenCredential(token.id),
    narrowing,
  };
}
