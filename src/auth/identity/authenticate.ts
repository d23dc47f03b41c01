import { createHmac, randomBytes } from 'node:crypto';
import pLimit from 'p-limit';
import type { Subject } from '../../access/subject.ts';
import type { Clock } from '../../platform/clock.ts';
import { ExpiringCache } from '../../platform/expiring-cache.ts';
import { SingleFlight } from '../../platform/single-flight.ts';
import { hashPassword, passwordCredential, randomPassword, verifyPassword } from './password.ts';
import type { Users } from './users-file.ts';

export type Verdict =
  | { readonly kind: 'authenticated'; readonly subject: Subject; readonly credential: string }
  | { readonly kind: 'wrong' }
  /** More wait to be hashed than can be in good time. */
  | { readonly kind: 'busy' };

/** Who are you? Answers by name and password, in the same time whether or not the name is known. */
export type Authenticate = (username: string, password: string) => Promise<Verdict>;

/** A hash keeps one thread of libuv's four and one core busy; the file system needs the others. */
const CONCURRENT_HASHES = 2;
const MAX_WAITING = 32;
/** A pull of ten layers asks for a token again and again; it need hash only once. */
const REMEMBER_FOR = 60_000;
const MAX_REMEMBERED = 10_000;
/** Nobody's password is longer, and hashing costs by the byte. */
const MAX_PASSWORD_LENGTH = 1024;

export async function createAuthenticate(users: () => Users, clock: Clock): Promise<Authenticate> {
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

  return async (username, password) => {
    if (password.length > MAX_PASSWORD_LENGTH) return { kind: 'wrong' };
    const user = users().get(username);
    const right = await isRight(username, user?.passwordHash ?? nobody, password);
    if (right === undefined) return { kind: 'busy' };
    if (user === undefined || !right) return { kind: 'wrong' };
    return {
      kind: 'authenticated',
      subject: { kind: 'user', name: user.name },
      credential: passwordCredential(user.name, user.passwordHash),
    };
  };
}
