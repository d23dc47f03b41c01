import type { Brand } from './brand.ts';
import { type Digest, parseDigest } from './digest.ts';

export type Tag = Brand<string, 'Tag'>;

/** The reference after `/manifests/` (OCI distribution spec, "Pulling manifests"). */
export type Reference =
  | { readonly kind: 'tag'; readonly tag: Tag }
  | { readonly kind: 'digest'; readonly digest: Digest };

const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/** The tag that clients use if none is written. */
export const LATEST_TAG = 'latest' as Tag;

export function parseTag(text: string): Tag | undefined {
  return TAG.test(text) ? (text as Tag) : undefined;
}

export function parseReference(text: string): Reference | undefined {
  const digest = parseDigest(text);
  if (digest !== undefined) return { kind: 'digest', digest };
  const tag = parseTag(text);
  return tag === undefined ? undefined : { kind: 'tag', tag };
}

export function formatReference(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest;
}
