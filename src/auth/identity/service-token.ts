import { createHash, randomInt, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * A service token as text: `hubgate_`, an id of 10 letters and digits, a secret of 30 (178 bits), and a
 * checksum of 6. The prefix and the checksum are for programs that search for leaked secrets. A refresh token
 * has the same form with the prefix `hubgate_login_`.
 */
export interface ServiceToken {
  readonly id: string;
  readonly secret: string;
}

const PREFIXES = { token: 'hubgate_', login: 'hubgate_login_' } as const;
type TokenKind = keyof typeof PREFIXES;
const ID_LENGTH = 10;
const SECRET_LENGTH = 30;
const CHECKSUM_LENGTH = 6;
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const REST = new RegExp(`^[0-9A-Za-z]{${ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH}}$`);

export function makeServiceToken(): ServiceToken {
  const text = (length: number) => Array.from({ length }, () => DIGITS[randomInt(DIGITS.length)]).join('');
  return { id: text(ID_LENGTH), secret: text(SECRET_LENGTH) };
}

export function formatServiceToken({ id, secret }: ServiceToken, kind: TokenKind = 'token'): string {
  return `${PREFIXES[kind]}${id}${secret}${checksum(id + secret)}`;
}

/**
 * Returns undefined if the text is not a token: a password may begin in any way, but does not have the right
 * checksum by chance.
 */
export function parseServiceToken(text: string, kind: TokenKind = 'token'): ServiceToken | undefined {
  const rest = text.slice(PREFIXES[kind].length);
  if (!text.startsWith(PREFIXES[kind]) || !REST.test(rest)) return undefined;
  const id = rest.slice(0, ID_LENGTH);
  const secret = rest.slice(ID_LENGTH, ID_LENGTH + SECRET_LENGTH);
  return rest.slice(-CHECKSUM_LENGTH) === checksum(id + secret) ? { id, secret } : undefined;
}

/** Returns the hash as hex. A long random secret needs no slow hash, because it cannot be guessed. */
export function hashOfSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

export function isTokenSecret(secret: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashOfSecret(secret)), Buffer.from(hash));
}

/** Returns the credential id of a service token. */
export function tokenCredential(id: string): string {
  return `st_${id}`;
}

/** Returns the id of the service token, or undefined if the credential is none. */
export function tokenOfCredential(credential: string): string | undefined {
  return credential.startsWith('st_') ? credential.slice(3) : undefined;
}

/** Returns the credential id of a login that a refresh token renews. */
export function loginCredential(id: string): string {
  return `rl_${id}`;
}

function checksum(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let place = 0; place < CHECKSUM_LENGTH; place++) {
    digits = `${DIGITS[rest % DIGITS.length]}${digits}`;
    rest = Math.floor(rest / DIGITS.length);
  }
  return digits;
}
