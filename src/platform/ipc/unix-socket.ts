import { chmod, lstat, unlink } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { connect } from 'node:net';
import path from 'node:path';
import { drained } from '../drain.ts';

/**
 * The time-out in milliseconds. Only roles of ours ask over a socket, and they ask again when this one is
 * back.
 */
const DRAIN = 5_000;

/** `sun_path` of unix(7) has 108 bytes, and the last one is zero. */
const MAX_SOCKET_PATH = 107;

/**
 * Returns the shorter of a socket's absolute path and its path from the working directory, because the path
 * of a home may be longer than a socket path may be.
 */
export function socketAddress(file: string): string {
  const why = whyTooLong(file);
  if (why !== undefined) throw new Error(`${file} ${why}`);
  return shortestPath(file);
}

/**
 * Returns why no socket can have this path; undefined if one can. The text continues a sentence that begins
 * with the path.
 */
export function whyTooLong(file: string): string | undefined {
  const bytes = Buffer.byteLength(shortestPath(file));
  if (bytes <= MAX_SOCKET_PATH) return undefined;
  return `is too long for a unix socket: ${bytes} bytes of at most ${MAX_SOCKET_PATH}; choose a shorter --home, or change into it and type --home .`;
}

function shortestPath(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return Buffer.byteLength(relative) < Buffer.byteLength(file) ? relative : file;
}

/** The bytes of a request's headers. Budgets of a caller with many limits take more than Node's 16 KiB. */
const MAX_HEADERS = 64 * 1024;

/**
 * Serves HTTP on a unix socket for this user and group alone. A socket that a dead process left behind is
 * replaced; one that answers belongs to another process, and is an error.
 */
export async function serveOnSocket(file: string, listener: RequestListener): Promise<AsyncDisposable> {
  const address = socketAddress(file);
  await removeStaleSocket(address);
  // The body of an upload may take longer than Node's limit for a whole request.
  const server = createServer({ maxHeaderSize: MAX_HEADERS, requestTimeout: 0 }, listener);
  const drain = drained(server, DRAIN);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path: address }, resolve);
  });
  await chmod(address, 0o660);
  return drain;
}

async function removeStaleSocket(address: string): Promise<void> {
  const stats = await lstat(address).catch(() => undefined);
  if (stats === undefined) return;
  if (!stats.isSocket()) throw new Error(`${address} is in the way: it is not a socket`);
  if (await answers(address)) throw new Error(`another Hubgate is running here: it answers on ${address}`);
  await unlink(address);
}

function answers(address: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(address, () => resolve(true));
  socket.on('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}
