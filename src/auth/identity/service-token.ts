import { createHash, randomInt, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * A service token as text: `hubgate_`, an id of 10 letters and digits, a secret of 30 (178 bits), and a checksum of 6. The
 * beginning and the checksum are for programs that look for leaked secrets.
 */
export interface ServiceToken {
  readonly id: string;
  readonly secret: string;
}

const PREFIX = 'hubgate_';
const ID_LENGTH = 10;
const SECRET_LENGTH = 30;
const CHECKSUM_LENGTH = 6;
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const TOKEN = new RegExp(`^${PREFIX}[0-9A-Za-z]{${ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH}}$`);

export function makeServiceToken(): ServiceToken {
  const text = (length: number) => Array.from({ length }, () => DIGITS[randomInt(DIGITS.length)]).join('');
  return { id: text(ID_LENGTH), secret: text(SECRET_LENGTH) };
}

export function writeServiceToken({ id, secret }: ServiceToken): string {
  return `${PREFIX}${id}${secret}${checksum(id + secret)}`;
}

/** Undefined for what is none: a password may begin in any way, but has no right checksum by chance. */
export function parseServiceToken(text: string): ServiceToken | undefined {
  if (!TOKEN.test(text)) return undefined;
  const rest = text.slice(PREFIX.length);
  const id = rest.slice(0, ID_LENGTH);
  const secret = rest.slice(ID_LENGTH, ID_LENGTH + SECRET_LENGTH);
  return rest.slice(-CHECKSUM_LENGTH) === checksum(id + secret) ? { id, secret } : undefined;
}

/** As hex. A secret that is random and long needs no slow hash: there is nothing to guess. */
export function hashOfSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

export function isSecret(secret: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashOfSecret(secret)), Buffer.from(hash));
}

/** The id of the credential that a service token is. */
export function tokenCredential(id: string): string {
  return `st_${id}`;
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
