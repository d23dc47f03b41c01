import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { parseSigningRequest } from '../../src/pki/signing-request.ts';
import { signingRequest } from '../support/signing-request.ts';

const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey;
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength }).privateKey;
const P256 = ec('P-256');

function refusalOf(pem: string): string | undefined {
  const read = parseSigningRequest(pem);
  return 'refusal' in read ? read.refusal : undefined;
}

test('a request for a strong key gives that key', () => {
  const keys: KeyObject[] = [P256, ec('P-384'), rsa(2048), generateKeyPairSync('ed25519').privateKey];
  for (const key of keys) {
    const read = parseSigningRequest(signingRequest(key));
    assert.ok(
      'publicKey' in read && read.publicKey.equals(createPublicKey(key)),
      String(key.asymmetricKeyType),
    );
  }
  assert.equal(
    refusalOf(signingRequest(P256).replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST')),
    undefined,
  );
});

test('a weak key and a weak signature are refused', () => {
  for (const key of [ec('P-521'), ec('secp256k1'), rsa(1024)])
    assert.match(refusalOf(signingRequest(key)) ?? '', /its key/);
  const sha1 = { algorithm: ['1.2.840.10045.4.1', 'sha1'] as const };
  assert.match(refusalOf(signingRequest(P256, sha1)) ?? '', /signed in a way/);
});

test('a request that another key has signed, or that was changed, is refused', () => {
  for (const signer of [ec('P-256'), rsa(2048)])
    assert.match(refusalOf(signingRequest(P256, { signer })) ?? '', /not that of its key/);
  const der = Buffer.from(signingRequest(P256).replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  der[der.indexOf('root')] = 0x52;
  const changed = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  assert.match(refusalOf(changed) ?? '', /not that of its key/);
});

test('what is no request is refused', () => {
  const empty = '-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n';
  for (const text of [
    '',
    'x',
    empty,
    signingRequest(P256).slice(0, 200),
    signingRequest(P256).replaceAll('REQUEST', 'LIST'),
  ])
    assert.match(refusalOf(text) ?? '', /no certificate request/);
});
