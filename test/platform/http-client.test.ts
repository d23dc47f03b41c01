import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openSocketClient, PeerUnreachable } from '../../src/platform/ipc/http-client.ts';
import { QueueFullError } from '../../src/platform/scheduling/fair-queue.ts';
import { waitFor } from '../support/wait-for.ts';

async function temporaryDirectory(stack: AsyncDisposableStack): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-client-'));
  stack.defer(() => rm(directory, { recursive: true }));
  return directory;
}

/** Serves on a socket with room for one connection, and takes none until the file `gate` is there. */
const BUSY = `
  const [socket, gate] = process.argv.slice(1);
  require('node:http').createServer((_, response) => response.end('ok')).listen({ path: socket, backlog: 1 }, () => {
    process.stdout.write('up');
    const cell = new Int32Array(new SharedArrayBuffer(4));
    while (!require('node:fs').existsSync(gate)) Atomics.wait(cell, 0, 0, 10);
  });`;

test('a socket whose backlog is full is tried again', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await temporaryDirectory(stack);
  const [socket, gate] = [path.join(directory, 'busy.sock'), path.join(directory, 'gate')];
  const child = spawn(process.execPath, ['-e', BUSY, socket, gate], { stdio: ['ignore', 'pipe', 'inherit'] });
  stack.defer(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await fillBacklog(socket, stack);
  const client = stack.use(openSocketClient(socket));
  const asked = client.request({ method: 'GET', path: '/', deadline: 20_000 });
  await writeFile(gate, '');
  const { statusCode, body } = await asked;
  assert.equal(statusCode, 200);
  await body.dump();
});

async function fillBacklog(path: string, stack: AsyncDisposableStack): Promise<void> {
  let isFull = false;
  for (let count = 0; count < 20 && !isFull; count++) {
    const socket: Socket = stack.adopt(connect(path), (one) => void one.destroy());
    await new Promise<void>((resolve) => {
      socket.once('connect', resolve);
      socket.on('error', ({ code }: NodeJS.ErrnoException) => {
        isFull = code === 'EAGAIN';
        resolve();
      });
    });
  }
  assert.ok(isFull);
}

for (const way of ['request', 'ask'] as const) {
  test(`invariant 16: ${way}: waiting for a place counts toward the deadline, and a question of a client that has gone ends`, async () => {
    await using stack = new AsyncDisposableStack();
    const directory = await temporaryDirectory(stack);
    const socket = path.join(directory, 'slow.sock');
    const held: ServerResponse[] = [];
    const server = createServer((_, response) => held.push(response)).listen(socket);
    stack.defer(() => {
      server.closeAllConnections();
      server.close();
    });
    await once(server, 'listening');
    const limits = { concurrent: 1, concurrentEach: 1, waiting: 1, waitingEach: 1 };
    const client = stack.use(openSocketClient(socket, limits));
    const gone = new AbortController();
    const ask = (deadline: number, signal?: AbortSignal) =>
      client[way]({ method: 'GET', path: '/', share: 'ana', deadline, signal });
    const first = ask(60_000, gone.signal);
    await waitFor(() => held.length === 1);
    const late = ask(50);
    await assert.rejects(ask(60_000), QueueFullError);
    await assert.rejects(late, PeerUnreachable);
    assert.equal(held.length, 1);
    const isClosed = once(held[0] as ServerResponse, 'close');
    gone.abort();
    await assert.rejects(first, { name: 'AbortError' });
    await isClosed;
  });
}

test('an answer is read whole, however its bytes are divided', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await temporaryDirectory(stack);
  const socket = path.join(directory, 'parts.sock');
  const word = Buffer.from('größe');
  const server = createServer(async (_, response) => {
    for (const byte of word) await new Promise((written) => response.write(Buffer.of(byte), written));
    response.end();
  }).listen(socket);
  stack.defer(() => void server.close());
  await once(server, 'listening');
  const client = stack.use(openSocketClient(socket));
  const { statusCode, text } = await client.ask({ method: 'GET', path: '/', deadline: 60_000 });
  assert.deepEqual([statusCode, text], [200, 'größe']);
});
