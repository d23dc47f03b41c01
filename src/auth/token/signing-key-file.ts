import { generateKeyPairSync } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { createFiles, writeFileAtomically } from '../../platform/atomic-file.ts';
import { readIfPresent, readRegularFile } from '../../platform/regular-file.ts';

/** Returns the file of the previous key, which still verifies the tokens that it has signed. */
export function previousKeyFile(file: string): string {
  return `${file.replace(/\.pem$/, '')}.previous.pem`;
}

/** Creates the key that signs tokens, if there is none. It is ES256, and only its owner can read it. */
export async function ensureSigningKey(file: string): Promise<void> {
  if ((await readIfPresent(file)) !== undefined) return;
  await mkdir(path.dirname(file), { recursive: true, mode: 0o750 });
  await createFiles([{ file, bytes: makeKey(), mode: 0o600 }]);
}

/**
 * Replaces the key in `file`. The old key is first copied to the file beside it, so that a key that has
 * signed is never unknown.
 * @throws if there is no key yet.
 */
export async function rotateSigningKey(file: string): Promise<void> {
  await writeFileAtomically(previousKeyFile(file), await readRegularFile(file), 0o600);
  await writeFileAtomically(file, makeKey(), 0o600);
}

function makeKey(): string | Buffer {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' });
}
