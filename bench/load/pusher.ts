/**
 * A client that pushes blobs as docker does: POST, a PATCH without a length, and a PUT with the digest. It
 * runs as a process of its own, and computes the digests before it is told to begin.
 */
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { KIB, type Layer, Pool } from '../content.ts';
import { LOWEST_PRIORITY } from './hostile.ts';

export interface PushJob {
  readonly port: number;
  readonly repository: string;
  /** The header of each pusher; pusher n takes number n modulo their number. */
  readonly authorizations: readonly string[];
  /** Pusher n pushes those whose index is n modulo the number of pushers, one after the other. */
  readonly layers: readonly Layer[];
  readonly pushers: number;
  /** In bytes per second for each pusher; undefined: at full speed. */
  readonly rate?: number;
  /** True if the layers are pushed again and again, with the CPU time that others leave. */
  readonly isEndless?: boolean;
}

export interface PushResult {
  readonly bytes: number;
  readonly seconds: number;
  readonly errors: readonly string[];
}

export interface PreparedPush extends AsyncDisposable {
  /** Begins to push. Resolves when all is pushed, which an endless push never is. */
  push(): Promise<PushResult>;
}

/** The bytes of one write, and of one chunk of the body. */
const PIECE = 64 * KIB;

/** Starts the process. Resolves when it can begin to push. */
export async function preparePush(job: PushJob): Promise<PreparedPush> {
  const child = fork(fileURLToPath(import.meta.url));
  const exited = once(child, 'exit');
  const answer = <T>() =>
    Promise.race([
      once(child, 'message').then(([message]) => message as T),
      exited.then(([code]) => Promise.reject(new Error(`the pushing client ended with ${code}`))),
    ]);
  child.send(job);
  await answer();
  return {
    push() {
      child.send('begin');
      return answer<PushResult>();
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
    },
  };
}

interface Blob {
  readonly bytes: Buffer;
  readonly digest: string;
}

const agent = new Agent({ keepAlive: true, rejectUnauthorized: false, ciphers: 'TLS_AES_128_GCM_SHA256' });

interface Sending {
  readonly method: string;
  readonly target: URL;
  readonly authorization: string;
  readonly body?: Buffer;
  readonly rate?: number | undefined;
}

/** Sends a request, and returns the location that the answer names. */
async function send({ method, target, authorization, body, rate }: Sending): Promise<URL> {
  const headers = { authorization, ...(body === undefined && { 'content-length': 0 }) };
  const sent = request(target, { method, agent, headers });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  // The answer is awaited only after the body, and may fail before.
  answered.catch(() => {});
  if (body !== undefined) await write(sent, body, rate);
  sent.end();
  const [response] = await answered;
  const said = (await response.toArray()).join('');
  const { statusCode = 0, headers: received } = response;
  if (statusCode >= 300) throw new Error(`${method} ${target.pathname}: ${statusCode} ${said}`);
  return new URL(received.location ?? '', target);
}

async function write(sent: ReturnType<typeof request>, body: Buffer, rate?: number): Promise<void> {
  const begun = performance.now();
  for (let at = 0; at < body.length && !sent.destroyed; at += PIECE) {
    if (!sent.write(body.subarray(at, at + PIECE))) await once(sent, 'drain');
    if (rate !== undefined)
      await delay(Math.max(0, begun + (1000 * (at + PIECE)) / rate - performance.now()));
  }
}

async function pushBlob(job: PushJob, authorization: string, { bytes, digest }: Blob): Promise<void> {
  const uploads = new URL(`https://localhost:${job.port}/v2/${job.repository}/blobs/uploads/`);
  const upload = await send({ method: 'POST', target: uploads, authorization });
  const rest = await send({ method: 'PATCH', target: upload, authorization, body: bytes, rate: job.rate });
  rest.searchParams.set('digest', digest);
  await send({ method: 'PUT', target: rest, authorization });
}

async function pushAll(job: PushJob, blobs: readonly Blob[]): Promise<PushResult> {
  const begun = performance.now();
  const errors: string[] = [];
  let bytes = 0;
  const pushers = Array.from({ length: job.pushers }, async (_, number) => {
    const authorization = job.authorizations[number % job.authorizations.length] ?? '';
    const own = blobs.filter((_, index) => index % job.pushers === number);
    do {
      for (const blob of own) {
        try {
          await pushBlob(job, authorization, blob);
          bytes += blob.bytes.length;
        } catch (error) {
          errors.push((error as Error).message);
        }
      }
    } while (job.isEndless);
  });
  await Promise.all(pushers);
  return { bytes, seconds: (performance.now() - begun) / 1000, errors };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.once('disconnect', () => process.exit());
  const [job] = (await once(process, 'message')) as [PushJob];
  const pool = new Pool();
  pool.of(job.layers.reduce((one, other) => (other.size > one.size ? other : one)));
  const blobs = job.layers.map((layer): Blob => {
    const bytes = pool.of(layer);
    return { bytes, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` };
  });
  if (job.isEndless) setPriority(LOWEST_PRIORITY);
  process.send?.('ready');
  await once(process, 'message');
  process.send?.(await pushAll(job, blobs));
}
