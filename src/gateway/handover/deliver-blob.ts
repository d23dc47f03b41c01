import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { type Digest, matchesDigest, startHash } from '../../registry/digest.ts';
import { type ByteRange, readRange } from '../http/range.ts';
import { refuse, respond } from '../http/respond.ts';
import { ResponseBody } from '../http/response-body.ts';
import { type BlobSource, HELD_BACK } from './blob-source.ts';

export interface Delivered {
  readonly status: number;
  /** Bytes of body that were handed to the connection. */
  readonly bytes: number;
  /** Why the answer was cut short, where it was. */
  readonly failure?: Error;
}

/** The plateau of what was measured: less costs a thread's hop and a TLS record's overhead too often. */
const CHUNK = 256 * 1024;
/** With many readers at once, most of whom are slow, the chunks in flight are what memory goes into. */
const CHUNK_FOR_MANY = 64 * 1024;
const MANY_READERS = 64;

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
    refuse(response, { error: 'RANGE_INVALID', headers: { 'content-range': `bytes */${size}` } });
    return { status: 416, bytes: 0 };
  }
  respond(response, range === undefined ? 200 : 206, {
    ...blobHeaders(digest, range === undefined ? size : range.end - range.start),
    ...(range && { 'content-range': `bytes ${range.start}-${range.end - 1}/${size}` }),
  });
  // Clients wait 30 s for headers, and the first bytes of a slow fill can take longer.
  if (source.filling) response.flushHeaders();
  const whole = { start: 0, end: size ?? Number.POSITIVE_INFINITY };
  return sendBody(response, (body) => sendRange(body, source, range ?? whole));
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

/** What goes wrong after the headers ends the connection: nothing but the blob's own bytes may follow them. */
async function sendBody(
  response: ServerResponse,
  send: (body: ResponseBody) => Promise<void>,
): Promise<Delivered> {
  const body = new ResponseBody(response);
  const { statusCode: status } = response;
  try {
    await send(body);
    return { status, bytes: body.written };
  } catch (error) {
    response.destroy();
    return { status, bytes: body.written, failure: error as Error };
  }
}

async function sendRange(body: ResponseBody, source: BlobSource, { start, end }: ByteRange): Promise<void> {
  readers++;
  try {
    for (let position = start; ; ) {
      const until = Math.min(end, await source.available(position));
      if (until === position) return await body.end(Buffer.alloc(0));
      const buffer = takeBuffer(Math.min(until - position, readers > MANY_READERS ? CHUNK_FOR_MANY : CHUNK));
      const length = await source.read(buffer, position, Math.min(until - position, buffer.length));
      if (length === 0) throw new Error('the file is shorter than it should be');
      position += length;
      const bytes = buffer.subarray(0, length);
      await (position === end ? body.end(bytes) : body.write(bytes));
      giveBack(buffer);
      if (position === end) return;
    }
  } finally {
    readers--;
  }
}

/** Full chunks that are free: to make them anew costs more than to fill them. Whoever waits for a fill has none. */
const spare: Buffer[] = [];

function takeBuffer(length: number): Buffer {
  const wanted = length > CHUNK_FOR_MANY ? CHUNK : length;
  return (wanted === CHUNK ? spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(wanted);
}

function giveBack(buffer: Buffer): void {
  if (buffer.length === CHUNK && spare.length < MANY_READERS) spare.push(buffer);
}

/**
 * Sends a blob that comes as a stream from a core that verifies nothing: hashed on the way, its last bytes held back
 * until the digest is right. Where it is not, or where the stream breaks off, the connection is cut.
 */
export async function deliverStream(
  response: ServerResponse,
  digest: Digest,
  size: number | undefined,
  stream: Readable,
): Promise<Delivered> {
  respond(response, 200, blobHeaders(digest, size));
  return sendBody(response, async (body) => {
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
  });
}
