import { generateKeyPairSync } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { createFiles, writeFileAtomically } from '../../platform/atomic-file.ts';
import { readIfPresent, readRegularFile } from '../../platform/regular-file.ts';

/** The key before the one in `file`, which goes on to verify what it has signed. */
export function previousKeyFile(file: string): string {
  return `${file.replace(/\.pem$/, '')}.previous.pem`;
}

/** Makes the key with which tokens are signed, if there is none: ES256, readable by its owner alone. */
export async function ensureSigningKey(file: string): Promise<void> {
  if ((await readIfPresent(file)) !== undefined) return;
  await mkdir(path.dirname(file), { recursive: true, mode: 0o750 });
  await createFiles([{ file, bytes: makeKey(), mode: 0o600 }]);
}

/**
 * Puts a new key in the place of the one in `file`, which is kept beside it first: at no moment is a key that has signed
 * unknown.
 *
 * @throws where there is none yet.
 */
export async function rotateSigningKey(file: string): Promise<void> {
  await writeFileAtomically(previousKeyFile(file), await readRegularFile(file), 0o600);
  await writeFileAtomically(file, makeKey(), 0o600);
}

function makeKey(): string | Buffer {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' });
}
