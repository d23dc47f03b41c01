/** Seals short texts with a key of this home, so that nobody can read or change them without it. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { createFiles } from '../../../platform/atomic-file.ts';
import { readIfPresent, readRegularFile } from '../../../platform/regular-file.ts';

export interface TextSeal {
  /** `purpose` keeps a text from being opened as another kind of text. */
  seal(purpose: string, text: string): string;
  /** Returns undefined if the text was not sealed with this key, or for another purpose. */
  open(purpose: string, sealed: string): string | undefined;
}

/** The purpose of the refresh tokens of identity providers. */
export const REFRESH_PURPOSE = 'refresh token';

const KEY_LENGTH = 32;
const NONCE_LENGTH = 12;
const TAG_LENGTH = 16;

/**
 * Reads the key, or makes one. Only its owner can read it. In a cluster, `share` returns the key of all
 * nodes; what was sealed with the own one before can still be opened.
 */
export async function openTextSeal(
  file: string,
  share: (own: string) => Promise<string> = async (own) => own,
): Promise<TextSeal> {
  if ((await readIfPresent(file)) === undefined) {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o750 });
    await createFiles([{ file, bytes: `${randomBytes(KEY_LENGTH).toString('hex')}\n`, mode: 0o600 }]);
  }
  const text = String(await readRegularFile(file)).trim();
  const own = Buffer.from(text, 'hex');
  if (own.length !== KEY_LENGTH) throw new Error(`${file} is no key; remove it, and everybody logs in again`);
  return createTextSeal(Buffer.from(await share(text), 'hex'), own);
}

/** Seals with the first key, and opens with any. */
function createTextSeal(...all: readonly [Buffer, ...Buffer[]]): TextSeal {
  const [key] = all;
  const keys = new Map(all.map((one) => [idOf(one), one]));
  const id = idOf(key);
  return {
    seal(purpose, text) {
      const nonce = randomBytes(NONCE_LENGTH);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(purpose));
      const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return `${id}.${sealed.toString('base64url')}`;
    },
    open(purpose, sealed) {
      const [of, content = ''] = sealed.split('.');
      const bytes = Buffer.from(content, 'base64url');
      const sealedWith = keys.get(of ?? '');
      if (sealedWith === undefined || bytes.length < NONCE_LENGTH + TAG_LENGTH) return undefined;
      const decipher = createDecipheriv('aes-256-gcm', sealedWith, bytes.subarray(0, NONCE_LENGTH));
      decipher.setAAD(Buffer.from(purpose)).setAuthTag(bytes.subarray(-TAG_LENGTH));
      try {
        const text = decipher.update(bytes.subarray(NONCE_LENGTH, -TAG_LENGTH));
        return Buffer.concat([text, decipher.final()]).toString('utf8');
      } catch {
        return undefined;
      }
    },
  };
}

function idOf(key: Buffer): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 8);
}
