import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

/** The way in which a faulty server answers. */
export type Behaviour =
  /** It never answers. */
  | { readonly kind: 'hang' }
  /** The server resets the connection before the first byte of the answer. */
  | { readonly kind: 'cut' }
  /** It answers with a given status. A refusal without a body is in a registry's own words. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** The answer is right, but the connection is cut after this many bytes of the body. */
  | { readonly kind: 'drop'; readonly at: number }
  /** As `drop`, but the other side receives a TCP reset. */
  | { readonly kind: 'reset'; readonly at: number }
  /**
   * The answer is right, but the connection is closed properly after this many bytes of the body; `unsized`:
   * as if there were no more.
   */
  | { readonly kind: 'truncate'; readonly at: number; readonly unsized?: boolean }
  /** The answer is right, but its Content-Length is wrong by this number. */
  | { readonly kind: 'length'; readonly by: number }
  /**
   * The answer is right, but it comes in pieces of this many bytes, with this many milliseconds between them.
   */
  | { readonly kind: 'drip'; readonly bytes: number; readonly every: number }
  /** The answer is right, and each piece of the body comes when `take` lets it go. */
  | {
      readonly kind: 'metered';
      readonly bytes: number;
      readonly take: (bytes: number) => Promise<void> | undefined;
    }
  /** The answer is right, but one bit of the body is flipped; a negative `at` counts from the end. */
  | { readonly kind: 'corrupt'; readonly at: number }
  /** The answer is right, but the body stops after this many bytes until `gate` opens. */
  | { readonly kind: 'pause'; readonly at: number; readonly gate: Promise<unknown> }
  /** The answer is right, but does not say how long the body is. */
  | { readonly kind: 'unsized' }
  /** The answer is right, but it is the whole body, whatever range is requested. */
  | { readonly kind: 'whole' }
  /** It answers with bytes that no HTTP parser accepts. */
  | { readonly kind: 'raw'; readonly bytes: string }
  /** The answer is right, but comes after another action. */
  | { readonly kind: 'after'; readonly action: () => void | Promise<void> };

export interface Fault {
  readonly on: string;
  /** The expression is tested against `GET /path`. */
  readonly match: RegExp;
  readonly behaviour: Behaviour;
  left: number;
}

const behaviours = new WeakMap<ServerResponse, Behaviour>();

/** Answers as `behaviour` says, and uses `answer` for the right part of it. */
export function misbehave(
  response: ServerResponse,
  behaviour: Behaviour | undefined,
  answer: () => void,
): void {
  if (behaviour === undefined) {
    answer();
    return;
  }
  switch (behaviour.kind) {
    case 'hang':
      return;
    case 'cut':
      response.socket?.resetAndDestroy();
      return;
    case 'status':
      sendStatus(response, behaviour);
      return;
    case 'raw':
      response.socket?.end(behaviour.bytes);
      return;
    case 'after':
      void Promise.resolve(behaviour.action()).then(answer);
      return;
    default:
      behaviours.set(response, behaviour);
      answer();
  }
}

function sendStatus(response: ServerResponse, behaviour: Behaviour & { kind: 'status' }): void {
  const { status, headers, body } = behaviour;
  if (![401, 403, 404].includes(status) || body !== undefined || headers?.['content-type'] !== undefined) {
    response.writeHead(status, headers).end(body);
    return;
  }
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ errors: [{ code: status === 404 ? 'MANIFEST_UNKNOWN' : 'DENIED' }] }));
}

const CHUNK = 16 * 1024;
const MOST_CHUNKS = 1000;

/** Sends bytes as a registry or an object store does, with a single range if one is requested. */
export function sendBytes(
  request: IncomingMessage,
  response: ServerResponse,
  type: string,
  bytes: Buffer,
): void {
  const asked = behaviours.get(response)?.kind === 'whole' ? undefined : request.headers.range;
  const range = /^bytes=(\d+)-(\d*)$/.exec(asked ?? '');
  if (Number(range?.[1] ?? 0) >= Math.max(1, bytes.length)) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}`, 'content-length': 0 }).end();
    return;
  }
  const start = Number(range?.[1] ?? 0);
  const end = Math.min(range?.[2] ? Number(range[2]) : bytes.length - 1, bytes.length - 1);
  const part = bytes.subarray(start, end + 1);
  const behaviour = behaviours.get(response);
  response.setHeader('content-type', type);
  announceLength(response, part.length, behaviour);
  if (range !== null) response.setHeader('content-range', `bytes ${start}-${end}/${bytes.length}`);
  response.writeHead(range === null ? 200 : 206);
  if (request.method === 'HEAD') response.end();
  else void writeBody(response, part, behaviour);
}

function announceLength(response: ServerResponse, length: number, behaviour: Behaviour | undefined): void {
  if (behaviour?.kind === 'unsized') return;
  if (behaviour?.kind === 'truncate' && behaviour.unsized === true) {
    // There is neither a length nor chunks: the end of the connection is the end of the body (RFC 9112 §6.3).
    response.removeHeader('transfer-encoding');
    return;
  }
  response.setHeader('content-length', length + (behaviour?.kind === 'length' ? behaviour.by : 0));
}

async function writeBody(
  response: ServerResponse,
  body: Buffer,
  behaviour: Behaviour | undefined,
): Promise<void> {
  switch (behaviour?.kind) {
    case 'drop':
    case 'reset':
    case 'truncate':
    case 'pause':
      response.flushHeaders();
      await write(response, body.subarray(0, behaviour.at));
      if (behaviour.kind !== 'pause') return breakOff(response, behaviour.kind);
      await behaviour.gate;
      await write(response, body.subarray(behaviour.at));
      break;
    case 'drip':
      await write(response, body, behaviour.bytes, behaviour.every);
      break;
    case 'metered':
      for (let at = 0; at < body.length && !response.destroyed; at += behaviour.bytes) {
        const piece = body.subarray(at, at + behaviour.bytes);
        await behaviour.take(piece.length);
        await write(response, piece, piece.length);
      }
      break;
    default:
      await write(response, behaviour?.kind === 'corrupt' ? flipped(body, behaviour.at) : body);
  }
  response.end();
}

function breakOff({ socket }: ServerResponse, how: 'drop' | 'reset' | 'truncate'): void {
  if (how === 'drop') socket?.destroy();
  else if (how === 'reset') socket?.resetAndDestroy();
  else socket?.end();
}

async function write(response: ServerResponse, bytes: Buffer, piece?: number, every?: number): Promise<void> {
  const size = piece ?? Math.max(CHUNK, Math.ceil(bytes.length / MOST_CHUNKS));
  for (let at = 0; at < bytes.length && !response.destroyed; at += size) {
    await new Promise<void>((resolve) => response.write(bytes.subarray(at, at + size), () => resolve()));
    if (every !== undefined) await delay(every);
  }
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  const place = at < 0 ? bytes.length + at : at;
  copy[place] = (copy[place] ?? 0) ^ 1;
  return copy;
}
