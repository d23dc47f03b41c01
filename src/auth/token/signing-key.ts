import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { calculateJwkThumbprint, exportJWK, type JWK } from 'jose';

export interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  /** The public half, for whoever verifies. */
  readonly jwk: JWK;
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
