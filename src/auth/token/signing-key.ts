import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { calculateJwkThumbprint, exportJWK, type JWK } from 'jose';
import { writeFileAtomically } from '../../platform/atomic-file.ts';

export interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  /** The public half, for whoever verifies. */
  readonly jwk: JWK;
}

/** Makes the key with which tokens are signed, if there is none: ES256, readable by its owner alone. */
export async function ensureSigningKey(file: string): Promise<void> {
  try {
    await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await mkdir(path.dirname(file), { recursive: true, mode: 0o750 });
    await writeFileAtomically(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
  }
}

/** The id is the key's thumbprint (RFC 7638), so that it needs no storing and no two keys share one. */
export async function readSigningKey(file: string): Promise<SigningKey> {
  const privateKey = createPrivateKey(await readFile(file));
  if (privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new Error(`${file} is no P-256 key`);
  const jwk = await exportJWK(createPublicKey(privateKey));
  const id = await calculateJwkThumbprint(jwk);
  return { id, privateKey, jwk: { ...jwk, kid: id, alg: 'ES256', use: 'sig' } };
}
