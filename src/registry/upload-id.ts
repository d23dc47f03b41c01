import { randomBytes } from 'node:crypto';
import type { Brand } from './brand.ts';

/** The id of an upload: 128 random bits as lower-case hex. It is a name and no path. */
export type UploadId = Brand<string, 'UploadId'>;

const UPLOAD_ID = /^[0-9a-f]{32}$/;

export function parseUploadId(text: string): UploadId | undefined {
  return UPLOAD_ID.test(text) ? (text as UploadId) : undefined;
}

export function newUploadId(): UploadId {
  return randomBytes(16).toString('hex') as UploadId;
}
