import { createHash, type Hash } from 'node:crypto';
import type { Brand } from './brand.ts';

/**
 * A digest is `sha256:<64 hex>` or `sha512:<128 hex>` in lower case: the two registered algorithms of the OCI
 * image spec.
 */
export type Digest = Brand<string, 'Digest'>;

export type DigestAlgorithm = 'sha256' | 'sha512';

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

export function parseDigest(text: string): Digest | undefined {
  return DIGEST.test(text) ? (text as Digest) : undefined;
}

export function parseDigestAlgorithm(text: string): DigestAlgorithm | undefined {
  return text === 'sha256' || text === 'sha512' ? text : undefined;
}

export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512';
}

export function hexOf(digest: Digest): string {
  return digest.slice(7);
}

/** Starts a hash with the digest's own algorithm. `matchesDigest` compares the result with the digest. */
export function startHash(digest: Digest): Hash {
  return createHash(algorithmOf(digest));
}

export function matchesDigest(hash: Hash, digest: Digest): boolean {
  return hash.digest('hex') === hexOf(digest);
}

export function sha256Of(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}
