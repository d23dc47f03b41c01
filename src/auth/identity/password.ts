import { createHash, randomBytes } from 'node:crypto';
import argon2 from 'argon2';

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane; 16–40 ms on one core of a server. */
const PARAMETERS = { type: argon2.argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** The PHC string of an argon2id hash: the only form that users.yaml may hold. */
const PHC = /^\$argon2id\$v=19\$m=\d{1,7}(?:,[tp]=\d{1,3}){2}\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}$/;

export function isPasswordHash(text: string): boolean {
  return PHC.test(text);
}

export function hashPassword(password: string): Promise<string> {
  return argon2.hash(password, PARAMETERS);
}

export function verifyPassword(hash: string, password: string): Promise<boolean> {
  return argon2.verify(hash, password);
}

/** 32 letters and digits, without those that a reader takes for one another. */
const LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789';

/** A password that nobody needs to remember, of 120 bits. */
export function randomPassword(): string {
  return Array.from(randomBytes(24), (byte) => LETTERS[byte % LETTERS.length]).join('');
}

/**
 * The id of the credential that a user's password is: it changes with the password, and tells nothing of it. A token carries
 * it, so that a token dies with the password that it was issued for.
 */
export function passwordCredential(name: string, hash: string): string {
  return `pw_${createHash('sha256').update(`${name}:${hash}`).digest('hex').slice(0, 20)}`;
}
