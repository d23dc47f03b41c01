import { generateKeyPairSync } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomically } from '../../platform/atomic-file.ts';

/** Makes the key with which tokens are signed, if there is none: ES256, readable by its owner alone. */
export async function ensureSigningKey(file: string): Promise<void> {
  try {
    await stat(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await mkdir(path.dirname(file), { recursive: true, mode: 0o750 });
    await writeFileAtomically(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
  }
}
