/**
 * Gives the other nodes of the cluster the content that this one has or is downloading. An answer carries no
 * grant: the node that asks has checked that its caller may have the digest. Only nodes of the cluster may
 * ask, and each proves by its certificate that it is one. A request for an upload is passed on in the same
 * way: the gateway of the other node has judged the caller.
 */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { TLSSocket } from 'node:tls';
import type { Nodes } from '../../cluster/nodes.ts';
import { drained } from '../../platform/drain.ts';
import type { Logger } from '../../platform/log.ts';
import { HOSTED_PATH } from '../../protocol/hosted-api.ts';
import { type Digest, parseDigest } from '../../registry/digest.ts';
import type { Fill } from '../pull/fill.ts';
import type { RecordedContent } from '../store/recorded-content.ts';
import { ALIVE_EVERY, FRAME_SIZE, MOST_PEER_ANSWERS } from './limits.ts';
import { type Frame, formatFrame } from './peer-frames.ts';

/** The path of content, with the first wanted byte as `from`. */
export const CONTENT_PATH = '/content/';
/** The size of the whole content, if it is known. */
export const SIZE_HEADER = 'hubgate-size';

/** The content that a node gives to the others. */
export interface ServedToPeers {
  readonly content: RecordedContent;
  /** Returns the download of a digest that is under way. */
  readonly running: (digest: Digest) => Fill | undefined;
  /** Answers the requests for uploads that this node has begun; undefined if it hosts nothing. */
  readonly uploads: RequestListener | undefined;
}

export interface PeerServerOptions extends ServedToPeers {
  readonly host?: string;
  readonly port: number;
  readonly key: string;
  readonly nodes: Nodes;
  readonly log: Logger;
}

/** The milliseconds that answers under way have to finish when the server stops. */
const DRAIN = 2_000;

export async function servePeers(options: PeerServerOptions): Promise<AsyncDisposable> {
  const { host, port, key, nodes, log } = options;
  let answering = 0;
  const server = createServer(
    {
      key,
      cert: nodes.own.certificate,
      minVersion: 'TLSv1.3',
      requestCert: true,
      // The certificates are self-signed. The database says which of them are nodes.
      rejectUnauthorized: false,
      requestTimeout: 0,
    },
    (request, response) => {
      if (answering >= MOST_PEER_ANSWERS) return refuse(response, 503);
      answering++;
      response.once('close', () => answering--);
      answer(request, response, options).catch((error: Error) => {
        log.debug({ err: error }, 'an answer to another node broke off');
        response.destroy();
      });
    },
  );
  const drain = drained(server, DRAIN);
  server.listen({ port, ...(host !== undefined && { host }) });
  await once(server, 'listening');
  return drain;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: PeerServerOptions,
): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '', 'https://node');
  const digest = pathname.startsWith(CONTENT_PATH)
    ? parseDigest(pathname.slice(CONTENT_PATH.length))
    : undefined;
  const from = Number(searchParams.get('from') ?? 0);
  if (!(request.socket instanceof TLSSocket) || !(await isNode(request.socket, options.nodes)))
    return refuse(response, 403);
  if (pathname.startsWith(HOSTED_PATH) && options.uploads !== undefined)
    return options.uploads(request, response);
  if (request.method !== 'GET' || digest === undefined || !Number.isSafeInteger(from) || from < 0)
    return refuse(response, 400);
  await giveContent(response, digest, from, options);
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status).end();
}

/** A node may have joined since the list was read, so the list is read again for an unknown certificate. */
async function isNode(socket: TLSSocket, nodes: Nodes): Promise<boolean> {
  const { raw } = socket.getPeerCertificate();
  if (raw === undefined) return false;
  const isKnown = () => nodes.all.some(({ certificate }) => new X509Certificate(certificate).raw.equals(raw));
  if (isKnown()) return true;
  await nodes.refresh();
  return isKnown();
}

async function giveContent(
  response: ServerResponse,
  digest: Digest,
  from: number,
  options: PeerServerOptions,
): Promise<void> {
  const { content, running } = options;
  const fill = running(digest);
  const found = fill === undefined ? await content.peek(digest) : undefined;
  if (fill === undefined && found === undefined) return refuse(response, 404);
  const size = fill?.size ?? found?.size;
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    ...(size !== undefined && { [SIZE_HEADER]: size }),
  });
  response.flushHeaders();
  const frames =
    fill === undefined ? framesOfStored(digest, from, content) : framesOfFill(fill, from, content);
  await pipeline(bytesOf(frames), response);
}

async function* bytesOf(frames: AsyncIterable<Frame>): AsyncGenerator<Buffer, void> {
  for await (const frame of frames) yield* formatFrame(frame);
}

async function* framesOfStored(
  digest: Digest,
  from: number,
  content: RecordedContent,
): AsyncGenerator<Frame, void> {
  const stream = await content.open(digest, { from });
  if (stream === undefined) throw new Error('the content is gone');
  for await (const bytes of stream) yield bytes;
  yield 'end';
}

/** Follows a download, and goes on with the stored content once it is verified. */
async function* framesOfFill(
  fill: Fill,
  from: number,
  content: RecordedContent,
): AsyncGenerator<Frame, void> {
  let at = from;
  // A download that others follow is not given up.
  using stack = new DisposableStack();
  stack.defer(fill.enter());
  for await (const progress of aliveWhileWaiting(fill.progress())) {
    if (progress === 'alive') yield progress;
    else if (progress.kind === 'filling') {
      while (at < progress.written) {
        const bytes = await fill.read(at, Math.min(FRAME_SIZE, progress.written - at));
        // The file was published meanwhile.
        if (bytes === undefined) break;
        at += bytes.length;
        yield bytes;
      }
    } else if (progress.kind !== 'verified') throw new Error('the download has failed');
  }
  await fill.ended;
  yield* framesOfStored(fill.digest, at, content);
}

async function* aliveWhileWaiting<T>(items: AsyncGenerator<T, void>): AsyncGenerator<T | 'alive', void> {
  for (let next = items.next(); ; ) {
    const { promise, resolve } = Promise.withResolvers<'alive'>();
    const timer = setTimeout(resolve, ALIVE_EVERY, 'alive');
    const first = await Promise.race([next, promise]);
    clearTimeout(timer);
    if (first === 'alive') yield first;
    else if (first.done === true) return;
    else {
      yield first.value;
      next = items.next();
    }
  }
}
