import { hash, randomBytes } from 'node:crypto';
import type { Brand } from './brand.ts';

/**
 * The id of an upload: 128 bits as lower-case hex, of which at least 96 are random. It is a name and no path.
 */
export type UploadId = Brand<string, 'UploadId'>;

const UPLOAD_ID = /^[0-9a-f]{32}$/;

export function parseUploadId(text: string): UploadId | undefined {
  return UPLOAD_ID.test(text) ? (text as UploadId) : undefined;
}

/** Makes an id that ends with `owner`, which says in a cluster who has the bytes. */
export function newUploadId(owner: UploadOwner | '' = ''): UploadId {
  return `${randomBytes(16).toString('hex').slice(owner.length)}${owner}` as UploadId;
}

/** The end of the ids of the uploads that one node has begun. */
export type UploadOwner = Brand<string, 'UploadOwner'>;

const OWNER_LENGTH = 8;

/** Two nodes may have the same owner, which is unlikely. */
export function uploadOwner(node: string): UploadOwner {
  return hash('sha256', node).slice(0, OWNER_LENGTH) as UploadOwner;
}

export function uploadOwnerIn(id: UploadId): UploadOwner {
  return id.slice(-OWNER_LENGTH) as UploadOwner;
}
