import { algorithmOf, type Digest, hexOf } from '../../registry/digest.ts';

/** Returns what the keys of all blobs begin with. */
export function blobsPrefix(prefix: string): string {
  return prefix === '' ? 'blobs/' : `${prefix}/blobs/`;
}

/** Returns the key of a blob that is put with a lease of this fence. No two leases have the same. */
export function objectKey(prefix: string, digest: Digest, fence: number): string {
  const hex = hexOf(digest);
  return `${blobsPrefix(prefix)}${algorithmOf(digest)}/${hex.slice(0, 2)}/${hex}.${fence}`;
}

const KEY = /^sha(?:256|512)\/[0-9a-f]{2}\/[0-9a-f]{64,128}\.\d+$/;

/** True if a key is one that `objectKey` returns. Nothing else is ever removed from a bucket. */
export function isBlobKey(prefix: string, key: string): boolean {
  const begin = blobsPrefix(prefix);
  return key.startsWith(begin) && KEY.test(key.slice(begin.length));
}

/** Returns what the keys of all hosted blobs begin with. */
export function hostedPrefix(prefix: string): string {
  return prefix === '' ? 'hosted/' : `${prefix}/hosted/`;
}

/** Returns the key of a hosted blob that comes by this upload. No two uploads have the same id. */
export function hostedObjectKey(prefix: string, digest: Digest, upload: string): string {
  const hex = hexOf(digest);
  return `${hostedPrefix(prefix)}${algorithmOf(digest)}/${hex.slice(0, 2)}/${hex}.${upload}`;
}

const HOSTED_KEY = /^sha(?:256|512)\/[0-9a-f]{2}\/[0-9a-f]{64,128}\.[0-9a-f]{32}$/;

/** True if a key is one that `hostedObjectKey` returns. */
export function isHostedKey(prefix: string, key: string): boolean {
  const begin = hostedPrefix(prefix);
  return key.startsWith(begin) && HOSTED_KEY.test(key.slice(begin.length));
}

/** Returns the key of the object that says which cluster uses the store. */
export function ownerKey(prefix: string): string {
  return prefix === '' ? 'hubgate-cluster' : `${prefix}/hubgate-cluster`;
}
