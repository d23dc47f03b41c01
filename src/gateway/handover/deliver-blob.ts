import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { type Digest, matchesDigest, startHash } from '../../registry/digest.ts';
import { type ByteRange, readRange } from '../http/range.ts';
import { refuse, respond } from '../http/respond.ts';
import { ResponseBody } from '../http/response-body.ts';
import { type BlobSource, HELD_BACK } from './blob-source.ts';

export interface Delivered {
  readonly status: number;
  readonly bytes: number;
}

/** The plateau of what was measured: less costs a thread's hop and a TLS record's overhead too often. */
const CHUNK = 256 * 1024;
/** With many readers at once, most of whom are slow, the chunks in flight are what memory goes into. */
const CHUNK_FOR_MANY = 64 * 1024;
const MANY_READERS = 64;

const spare: Buffer[] = [];
let readers = 0;

/** Sends a blob from its file, whole or the one range that is asked for, at the pace at which the file grows. */
export async function deliverBlob(
  request: IncomingMessage,
  response: ServerResponse,
  digest: Digest,
  source: BlobSource,
): Promise<Delivered> {
  const { size } = source;
  const range = size === undefined ? undefined : wantedRange(request, digest, size);
  if (range === 'unsatisfiable') {
    refuse(response, { error: 'RANGE_INVALID' });
    return { status: 416, bytes: 0 };
  }
  const status = range === undefined ? 200 : 206;
  respond(response, status, {
    ...blobHeaders(digest, range === undefined ? size : range.end - range.start),
    ...(range && { 'content-range': `bytes ${range.start}-${range.end - 1}/${size}` }),
  });
  // Clients wait 30 s for headers, and the first bytes of a slow fill can take longer.
  if (source.filling) response.flushHeaders();
  const body = new ResponseBody(response);
  await sendRange(body, source, range ?? { start: 0, end: size ?? Number.POSITIVE_INFINITY });
  return { status, bytes: body.written };
}

/** A range that is bound to another state of the blob is no range; but a digest has one state only. */
function wantedRange(
  { headers }: IncomingMessage,
  digest: Digest,
  size: number,
): ReturnType<typeof readRange> {
  const condition = headers['if-range'];
  return condition === undefined || condition === `"${digest}"` ? readRange(headers.range, size) : undefined;
}

export function blobHeaders(digest: Digest, size: number | undefined) {
  return {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    'accept-ranges': 'bytes',
    ...(size !== undefined && { 'content-length': size }),
  } as const;
}

async function sendRange(body: ResponseBody, source: BlobSource, { start, end }: ByteRange): Promise<void> {
  readers++;
  const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK);
  try {
    for (let position = start; ; ) {
      const until = Math.min(end, await source.available(position));
      const chunk = Math.min(until - position, readers > MANY_READERS ? CHUNK_FOR_MANY : CHUNK);
      if (chunk <= 0) return await body.end(buffer.subarray(0, 0));
      const length = await source.read(buffer, position, chunk);
      if (length === 0) throw new Error('the file is shorter than it should be');
      position += length;
      if (position === end) return await body.end(buffer.subarray(0, length));
      await body.write(buffer.subarray(0, length));
    }
  } finally {
    readers--;
    if (spare.length < MANY_READERS) spare.push(buffer);
  }
}

/**
 * Sends a blob that comes as a stream from a core that verifies nothing: hashed on the way, its last bytes held back
 * until the digest is right.
 *
 * @throws where it is not, or where the stream breaks off; the caller then cuts the connection.
 */
export async function deliverStream(
  response: ServerResponse,
  digest: Digest,
  size: number | undefined,
  stream: Readable,
): Promise<Delivered> {
  respond(response, 200, blobHeaders(digest, size));
  const body = new ResponseBody(response);
  const hash = startHash(digest);
  let tail = Buffer.alloc(0);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk);
    const pending = Buffer.concat([tail, chunk]);
    const ready = Math.max(0, pending.length - HELD_BACK);
    if (ready > 0) await body.write(pending.subarray(0, ready));
    tail = pending.subarray(ready);
  }
  if (!matchesDigest(hash, digest)) throw new Error('the bytes are not what their digest says');
  await body.end(tail);
  return { status: 200, bytes: body.written };
}
