import type { IncomingMessage, ServerResponse } from 'node:http';

/** How a faulty server answers. */
export type Behaviour =
  /** Never. */
  | { readonly kind: 'hang' }
  /** With a status of its own. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** Rightly, but the connection is cut after so many bytes of body. */
  | { readonly kind: 'drop'; readonly at: number }
  /** Rightly, but with one bit of the body flipped. */
  | { readonly kind: 'corrupt'; readonly at: number }
  /** Rightly, but the body stops after so many bytes until `gate` opens. */
  | { readonly kind: 'pause'; readonly at: number; readonly gate: Promise<unknown> }
  /** Rightly, but without saying how long the body is. */
  | { readonly kind: 'unsized' }
  /** Rightly, but the whole, whatever range is asked for. */
  | { readonly kind: 'whole' }
  /** With bytes that no HTTP parser accepts. */
  | { readonly kind: 'raw'; readonly bytes: string }
  /** Rightly, after something else has happened. */
  | { readonly kind: 'after'; readonly action: () => void };

export interface Fault {
  readonly on: string;
  /** Tested against `GET /path`. */
  readonly match: RegExp;
  readonly behaviour: Behaviour;
  left: number;
}

const behaviours = new WeakMap<ServerResponse, Behaviour>();

/** Answers as `behaviour` says, falling back on `answer` for the right part of it. */
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
    case 'status':
      response.writeHead(behaviour.status, behaviour.headers).end(behaviour.body);
      return;
    case 'raw':
      response.socket?.end(behaviour.bytes);
      return;
    case 'after':
      behaviour.action();
      answer();
      return;
    default:
      behaviours.set(response, behaviour);
      answer();
  }
}

const CHUNK = 16 * 1024;

/** Sends bytes as a registry or an object store does, with a single range where one is asked for. */
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
  response.setHeader('content-type', type);
  if (behaviours.get(response)?.kind !== 'unsized') response.setHeader('content-length', part.length);
  if (range !== null) response.setHeader('content-range', `bytes ${start}-${end}/${bytes.length}`);
  response.writeHead(range === null ? 200 : 206);
  if (request.method === 'HEAD') response.end();
  else void writeBody(response, part, behaviours.get(response));
}

async function writeBody(
  response: ServerResponse,
  body: Buffer,
  behaviour: Behaviour | undefined,
): Promise<void> {
  const bytes = behaviour?.kind === 'corrupt' ? flipped(body, behaviour.at) : body;
  const stop =
    behaviour !== undefined && 'at' in behaviour && behaviour.kind !== 'corrupt' ? behaviour.at : undefined;
  await write(response, bytes.subarray(0, stop));
  if (stop === undefined) return void response.end();
  if (behaviour?.kind === 'drop') return void response.socket?.destroy();
  if (behaviour?.kind === 'pause') await behaviour.gate;
  await write(response, bytes.subarray(stop));
  response.end();
}

async function write(response: ServerResponse, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length && !response.destroyed; at += CHUNK) {
    await new Promise<void>((resolve) => response.write(bytes.subarray(at, at + CHUNK), () => resolve()));
  }
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}
