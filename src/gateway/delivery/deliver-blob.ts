import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { asError } from '../../platform/reason.ts';
import { type Digest, matchesDigest, startHash } from '../../registry/digest.ts';
import { parseRange, parseRanges } from '../../registry/range.ts';
import type { CoreAnswer } from '../clients/core-client.ts';
import { refuse, respond } from '../http/respond.ts';
import { ResponseBody } from '../http/response-body.ts';
import { DELIVERY } from '../limits.ts';
import { type BlobReader, FillInterrupted, HELD_BACK } from './blob-reader.ts';
import type { SharedChunk } from './chunk-cache.ts';
import { partsOf } from './deliver-parts.ts';
import type { DeliveryPool } from './delivery-pool.ts';
import { requestedRange } from './requested-range.ts';

export interface Delivered {
  readonly status: number;
  /** The bytes of the body that were sent. */
  readonly bytes: number;
  /** The reason why the answer was cut short; absent if it was not. */
  readonly failure?: Error;
}

/** The request and response that a blob is sent to. */
export interface BlobRecipient {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly digest: Digest;
  readonly pool: DeliveryPool;
  /** Asks the core again if it has interrupted a fill. */
  readonly askAgain: () => Promise<CoreAnswer>;
}

/** Sends a blob from its file, whole or in the requested ranges, at the pace at which the file grows. */
export async function deliverBlob(to: BlobRecipient, source: BlobReader): Promise<Delivered> {
  const { request, response, digest, pool } = to;
  const { size } = source;
  const wanted = requestedRange(request, digest);
  const range = size === undefined ? undefined : parseRange(wanted, size);
  // Several ranges of a fill would wait for its end, and the whole blob arrives sooner.
  const ranges = size === undefined || source.filling ? undefined : parseRanges(wanted, size);
  if (range === 'unsatisfiable' || ranges === 'unsatisfiable') {
    refuse(response, { error: 'RANGE_INVALID', headers: { 'content-range': `bytes */${size}` } });
    return { status: 416, bytes: 0 };
  }
  if (size !== undefined && ranges !== undefined) {
    const parts = partsOf(source, size, ranges);
    respond(response, 206, { ...blobHeaders(digest, parts.length), 'content-type': parts.type });
    return sendBody(response, (body) => parts.send(body, (...wanted) => takeChunk(pool, ...wanted)));
  }
  respond(response, range === undefined ? 200 : 206, {
    ...blobHeaders(digest, range === undefined ? size : range.end - range.start),
    ...(range && { 'content-range': `bytes ${range.start}-${range.end - 1}/${size}` }),
  });
  // Clients wait 30 s for headers, and the first bytes of a slow fill can take longer.
  if (source.filling) response.flushHeaders();
  const { start, end } = range ?? { start: 0, end: size ?? Number.POSITIVE_INFINITY };
  return sendBody(response, (body) => sendBlob(body, { start, position: start, end }, source, to));
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

/**
 * A failure after the headers ends the connection, because nothing but the blob's own bytes may follow them.
 */
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
    return { status, bytes: body.written, failure: asError(error) };
  }
}

/**
 * The rest that must still be sent: from `position` to before `end`. The bytes from `start` to `position`
 * were sent.
 */
interface Rest {
  readonly start: number;
  position: number;
  readonly end: number;
}

async function sendBlob(
  body: ResponseBody,
  rest: Rest,
  source: BlobReader,
  to: Pick<BlobRecipient, 'digest' | 'askAgain' | 'pool'>,
  attempts = DELIVERY.resumptions,
): Promise<void> {
  try {
    return await sendFile(body, rest, source, to.pool);
  } catch (error) {
    if (!(error instanceof FillInterrupted) || attempts === 0) throw error;
  }
  const answer = await to.askAgain();
  if (answer.kind === 'blob-stream') return sendStream(body, rest, to.digest, answer.body, source);
  if (answer.kind === 'refused') throw new Error(`the core refuses the rest of the blob: ${answer.error}`);
  if (answer.kind !== 'blob') throw new Error('the core does not answer with the rest of the blob');
  await using next = answer.source;
  await checkSent(rest, source, next);
  await sendBlob(body, rest, next, to, attempts - 1);
}

/**
 * Checks that the sent bytes equal those of the next source. They came from a fill that was never verified to
 * its end, and the bytes that are sent from now on are verified as part of another one.
 */
async function checkSent({ start, position }: Rest, sent: BlobReader, next: BlobReader): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(DELIVERY.chunk, position - start));
  for (let at = start; at < position; ) {
    const until = Math.min(position, await next.available(at));
    if (until <= at) throw new Error('the blob is shorter than what was sent of it');
    const length = await next.read(buffer, at, Math.min(buffer.length, until - at));
    await compareSent(sent, at, buffer.subarray(0, length));
    at += length;
  }
}

async function compareSent(sent: BlobReader, at: number, bytes: Buffer): Promise<void> {
  const buffer = Buffer.allocUnsafe(bytes.length);
  for (let have = 0; have < bytes.length; ) {
    const length = await sent.read(buffer.subarray(have), at + have, bytes.length - have);
    if (length === 0) throw new Error('what was sent cannot be read any more');
    have += length;
  }
  if (!buffer.equals(bytes))
    throw new Error('the new source has other bytes than those that were already sent');
}

async function sendFile(
  body: ResponseBody,
  rest: Rest,
  source: BlobReader,
  pool: DeliveryPool,
): Promise<void> {
  pool.enter();
  let ahead: SharedChunk | Promise<SharedChunk> | undefined;
  try {
    for (;;) {
      const until = Math.min(rest.end, await source.available(rest.position));
      if (until <= rest.position) return await endShort(body, rest);
      const { bytes, release } = await (ahead ?? takeChunk(pool, source, rest.position, until));
      if (bytes.length === 0) throw new Error('the file is shorter than it should be');
      const next = rest.position + bytes.length;
      const isLast = next === rest.end;
      // With other readers there is always something to do while a chunk is read, and more chunks at a time
      // would take more room in the processor's caches.
      ahead = pool.isForOne && next < until ? takeAhead(pool, source, next, until) : undefined;
      await (isLast ? body.end(bytes) : body.write(bytes));
      // This is skipped after a failure, because unsent bytes may still wait in the connection.
      release();
      rest.position += bytes.length;
      if (isLast) return;
    }
  } finally {
    pool.leave();
  }
}

/** Ends a blob whose size nobody announced. A blob that is shorter than was announced is an error. */
async function endShort(body: ResponseBody, { position, end }: Rest): Promise<void> {
  if (Number.isFinite(end) && position < end) throw new Error('the blob is shorter than was announced');
  await body.end(Buffer.alloc(0));
}

/**
 * Takes the next chunk while one is sent. Its error is for the caller that awaits it, so it is no unhandled
 * one.
 */
function takeAhead(...wanted: Parameters<typeof takeChunk>): ReturnType<typeof takeChunk> {
  const chunk = takeChunk(...wanted);
  if (chunk instanceof Promise) chunk.catch(() => {});
  return chunk;
}

/**
 * Returns bytes from `position` on, and none at or after `until`. They come at once if they are in memory.
 */
function takeChunk(
  pool: DeliveryPool,
  source: BlobReader,
  position: number,
  until: number,
): SharedChunk | Promise<SharedChunk> {
  const size = pool.chunkSize;
  const shared = source.chunk?.(position, size);
  if (shared === undefined) return readChunk(pool, source, position, Math.min(until - position, size));
  const wanted = (chunk: SharedChunk) => firstBytes(chunk, until - position);
  return shared instanceof Promise ? shared.then(wanted) : wanted(shared);
}

function firstBytes(chunk: SharedChunk, length: number): SharedChunk {
  const { bytes, release } = chunk;
  return bytes.length <= length ? chunk : { bytes: bytes.subarray(0, length), release };
}

async function readChunk(
  pool: DeliveryPool,
  source: BlobReader,
  position: number,
  most: number,
): Promise<SharedChunk> {
  const buffer = pool.acquire(most);
  const length = await source.read(buffer, position, Math.min(most, buffer.length));
  return { bytes: buffer.subarray(0, length), release: () => pool.release(buffer) };
}

/** Sends a blob that comes as an unverified stream from a core. */
export async function deliverStream(
  response: ServerResponse,
  digest: Digest,
  size: number | undefined,
  stream: Readable,
): Promise<Delivered> {
  respond(response, 200, blobHeaders(digest, size));
  const rest = { start: 0, position: 0, end: size ?? Number.POSITIVE_INFINITY };
  return sendBody(response, (body) => sendStream(body, rest, digest, stream));
}

/**
 * Sends the rest of a blob from a stream of the whole blob. The bytes are hashed on the way, and the last of
 * them are held back until the digest is right. `sent` is the source of the bytes that were sent before, if
 * any.
 * @throws if the digest is wrong, or if the stream breaks off.
 */
async function sendStream(
  body: ResponseBody,
  rest: Rest,
  digest: Digest,
  stream: AsyncIterable<Buffer>,
  sent?: BlobReader,
): Promise<void> {
  const resumedAt = rest.position;
  const hash = startHash(digest);
  let tail = Buffer.alloc(0);
  let received = 0;
  /** Cuts the wanted bytes out of `bytes`, which end at the offset `until` of the blob. */
  const wanted = (bytes: Buffer, until: number) => {
    const begin = until - bytes.length;
    return bytes.subarray(Math.max(0, rest.position - begin), Math.max(0, rest.end - begin));
  };
  for await (const chunk of stream) {
    hash.update(chunk);
    const before = chunk.subarray(Math.max(0, rest.start - received), Math.max(0, resumedAt - received));
    if (sent !== undefined) await compareSent(sent, Math.max(rest.start, received), before);
    received += chunk.length;
    const pending = Buffer.concat([tail, chunk]);
    const ready = Math.max(0, pending.length - HELD_BACK);
    tail = pending.subarray(ready);
    const bytes = wanted(pending.subarray(0, ready), received - tail.length);
    if (bytes.length > 0) await body.write(bytes);
    rest.position += bytes.length;
  }
  if (!matchesDigest(hash, digest)) throw new Error('the bytes are not what their digest says');
  const last = wanted(tail, received);
  if (Number.isFinite(rest.end) && rest.position + last.length < rest.end)
    throw new Error('the blob is shorter than was announced');
  await body.end(last);
}
