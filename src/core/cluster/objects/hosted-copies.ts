/** Copies the bytes of hosted blobs between the files of a home and the object store of a cluster. */
import { createReadStream } from 'node:fs';
import type { ObjectStore } from '../../../cluster/objects/object-store.ts';
import { type Digest, matchesDigest, startHash } from '../../../registry/digest.ts';
import { newUploadId } from '../../../registry/upload-id.ts';
import type { StoredUpload } from '../../hosted/hosted-content.ts';
import type { HostedFiles } from '../../hosted/hosted-files.ts';
import { type TransferOptions, TransferStopped } from '../../hosted/transfer.ts';
import type { HostedUploads } from './hosted-uploads.ts';

export interface HostedCopies {
  readonly store: ObjectStore;
  readonly uploads: HostedUploads;
  readonly files: HostedFiles;
  readonly signal: AbortSignal;
}

/** The bytes that are read at once from a file. */
const READ_SIZE = 512 * 1024;

/** Puts a blob into the store, after its file was compared with its digest. */
export function copyToObjects({ files, uploads, signal }: HostedCopies): TransferOptions['copyBlob'] {
  return async (digest, size) => {
    const known = await uploads.find(digest, size, signal);
    if (known.kind === 'ok') return known.value;
    if (known.kind === 'unavailable') throw storeAway(known.detail);
    const why = await files.whyDamaged(digest, size);
    if (why !== undefined) return why;
    const open = async () => createReadStream(files.pathOf(digest), { highWaterMark: READ_SIZE });
    const put = await uploads.put({ id: newUploadId(), digest, size, open }, known.lost, signal);
    if (put.kind === 'unavailable') throw storeAway(put.detail);
    return put;
  };
}

/**
 * Reads a blob from the store into a file, which gets its name after it was compared with its digest. A file
 * that is there already may have been damaged since, so it is compared too, but only once.
 */
export function copyToFiles(copies: HostedCopies): TransferOptions['copyBlob'] {
  const compared = new Map<Digest, StoredUpload>();
  return async (digest, size) => {
    const known = compared.get(digest) ?? (await findOrDownload(copies, digest, size));
    if (typeof known !== 'string') compared.set(digest, known);
    return known;
  };
}

async function findOrDownload(
  copies: HostedCopies,
  digest: Digest,
  size: number,
): Promise<StoredUpload | string> {
  const { files } = copies;
  const found = await files.findStored(digest, size);
  if (found !== undefined) return found;
  const id = newUploadId();
  try {
    return await download(copies, id, digest, size);
  } finally {
    await files.removeUpload(id);
  }
}

async function download(
  { store, uploads, files, signal }: HostedCopies,
  id: string,
  digest: Digest,
  size: number,
): Promise<StoredUpload | string> {
  const key = await uploads.keyOf(digest);
  if (key === undefined) return 'the database names no object for it';
  const answer = await store.get(key, 0, signal);
  if (answer.kind !== 'ok') throw storeAway(answer.detail);
  if (answer.value === undefined) return `its object ${key} is missing`;
  await using handle = await files.createUpload(id);
  const hash = startHash(digest);
  for await (const chunk of readOrStop(answer.value.body)) {
    hash.update(chunk);
    await handle.writeFile(chunk);
  }
  if (!matchesDigest(hash, digest)) return `the bytes of its object ${key} are not those of its digest`;
  return files.publish({ id, handle, digest, size, signal });
}

async function* readOrStop(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  try {
    yield* body;
  } catch (error) {
    throw storeAway(String(error));
  }
}

function storeAway(detail: string): TransferStopped {
  return new TransferStopped(`the object store cannot be used: ${detail}`);
}
