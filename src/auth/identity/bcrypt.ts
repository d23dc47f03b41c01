import { compareSync } from 'bcryptjs';

/**
 * Matches a hash that `htpasswd -B` writes. The cost is bounded, so that a hash does not delay others for
 * seconds: each step doubles it, and 14 takes about a second.
 */
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const LEAST_COST = 4;
export const MOST_BCRYPT_COST = 14;

export function isBcryptHash(text: string): boolean {
  const cost = costOfBcrypt(text);
  return cost !== undefined && cost >= LEAST_COST && cost <= MOST_BCRYPT_COST;
}

/** Returns undefined if the text is not a bcrypt hash. */
export function costOfBcrypt(text: string): number | undefined {
  const cost = BCRYPT.exec(text)?.[1];
  return cost === undefined ? undefined : Number(cost);
}

/** Takes up to a second, and belongs in a thread of its own. */
export function verifyBcrypt(hash: string, password: string): boolean {
  return compareSync(password, hash);
}
