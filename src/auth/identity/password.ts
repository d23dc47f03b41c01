import { createHash, randomBytes } from 'node:crypto';
import argon2 from 'argon2';
import { PASSWORD_LENGTH } from '../limits.ts';
import { costOfBcrypt, isBcryptHash, verifyBcrypt } from './bcrypt.ts';

/** The cost of a new argon2id hash. */
export interface PasswordParameters {
  /** The memory in bytes. */
  readonly memory: number;
  readonly passes: number;
}

/**
 * OWASP's first choice for argon2id: 19 MiB, two passes, one lane. It takes 16–40 ms on one core of a server.
 */
const LEAST: PasswordParameters = { memory: 19 * 2 ** 20, passes: 2 };
const KIB = 1024;

/** Matches the PHC string of an argon2id hash. */
const PHC = /^(\$argon2id\$v=19\$m=\d{1,7}(?:,[tp]=\d{1,3}){2})\$([A-Za-z0-9+/]{11,})\$([A-Za-z0-9+/]{22,})$/;

/** True for the two kinds of hashes that users.yaml may contain. */
export function isPasswordHash(text: string): boolean {
  return PHC.test(text) || isBcryptHash(text);
}

export function hashPassword(password: string, { memory, passes } = LEAST): Promise<string> {
  return argon2.hash(password, {
    type: argon2.argon2id,
    memoryCost: memory / KIB,
    timeCost: passes,
    parallelism: 1,
  });
}

export function verifyPassword(hash: string, password: string): Promise<boolean> {
  return costOfBcrypt(hash) === undefined ? argon2.verify(hash, password) : verifyBcrypt(hash, password);
}

/** True if guessing against this hash costs less than against a new one. */
export function isWeakerThan(hash: string, { memory, passes }: PasswordParameters): boolean {
  if (!PHC.test(hash)) return true;
  const parameter = (name: 'm' | 't') => Number(new RegExp(`[$,]${name}=(\\d+)`).exec(hash)?.[1] ?? 0);
  return parameter('m') * KIB < memory || parameter('t') < passes;
}

/** Returns the cost of verifying a hash. It is the same text for hashes of the same cost. */
export function costOf(hash: string): string {
  return PHC.exec(hash)?.[1] ?? hash.slice(0, '$2y$10$'.length);
}

/** Returns a hash of the same cost for which no password is known. */
export function decoyOf(hash: string): string {
  const match = PHC.exec(hash);
  if (match === null) return costOf(hash) + randomText(BCRYPT_LETTERS, 53);
  const [, cost, salt = '', digest = ''] = match;
  return [cost, randomText(BASE64, salt.length), randomText(BASE64, digest.length)].join('$');
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const BASE64 = `${LETTERS}+/`;
const BCRYPT_LETTERS = `${LETTERS}./`;

function randomText(letters: string, length: number): string {
  return Array.from(randomBytes(length), (byte) => letters[byte % letters.length]).join('');
}

/**
 * Returns why this text cannot be a new password; undefined if it can. Existing passwords are not judged by
 * this rule.
 */
export function whyNoPassword(password: string): string | undefined {
  if (password === '') return 'the password is empty';
  if ([...password].length < PASSWORD_LENGTH.least)
    return `the password is too short: it must have at least ${PASSWORD_LENGTH.least} characters`;
  return password.length > PASSWORD_LENGTH.most
    ? `the password is too long: it may have at most ${PASSWORD_LENGTH.most} characters`
    : undefined;
}

/** Letters and digits, except those that a reader could confuse. */
const LEGIBLE = 'abcdefghijkmnpqrstuvwxyz23456789';

/** Returns a password of 120 bits that nobody needs to remember. */
export function randomPassword(): string {
  return randomText(LEGIBLE, 24);
}

/**
 * Returns the credential id of a user's password. It changes with the password, and tells nothing about it. A
 * token contains it, so that a token becomes invalid with the password that it was issued for.
 */
export function passwordCredential(name: string, hash: string): string {
  return `${PASSWORD_PREFIX}${createHash('sha256').update(`${name}:${hash}`).digest('hex').slice(0, 20)}`;
}

export function isPasswordCredential(id: string): boolean {
  return id.startsWith(PASSWORD_PREFIX);
}

const PASSWORD_PREFIX = 'pw_';
