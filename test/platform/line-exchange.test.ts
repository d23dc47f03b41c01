import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openSocketClient } from '../../src/platform/ipc/http-client.ts';
import { formatLine, type Lines, readLines } from '../../src/platform/ipc/json-lines.ts';
import { LineExchange } from '../../src/platform/ipc/line-exchange.ts';
import { serveOnSocket } from '../../src/platform/ipc/unix-socket.ts';
import { withLongerDeadlines } from '../support/with-longer-deadlines.ts';

/** What the other side does with an exchange. */
type Serve = (lines: Lines, response: ServerResponse, request: IncomingMessage) => Promise<void>;

const echo: Serve = async (lines, response) => {
  for (;;) {
    const line = await lines.next().catch(() => undefined);
    if (line === undefined) break;
    response.write(formatLine({ heard: line }));
  }
  response.end();
};

/** The nth exchange is served by the nth of `serves`, and each after them by the last. */
async function start(serves: readonly [Serve, ...Serve[]], deadline = 10_000) {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-exchange-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const socket = path.join(directory, 'peer.sock');
  let begun = 0;
  stack.use(
    await serveOnSocket(socket, (request, response) => {
      const serve = serves[Math.min(begun++, serves.length - 1)] ?? serves[0];
      void serve(readLines(request), response, request);
    }),
  );
  const http = stack.use(openSocketClient(socket));
  const exchange = stack.use(new LineExchange(http, { path: '/', deadline }));
  const parts = stack.move();
  return { exchange, begun: () => begun, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

test('questions are the lines of one request, each answered by its own', async () => {
  await using parts = await start([echo]);
  for (const question of ['one', { two: 2 }, 'with a\nline break'])
    assert.deepEqual(await parts.exchange.ask(question), { heard: question });
  assert.equal(parts.begun(), 1);
});

test('a question on which the exchange ends is asked in another one', async () => {
  const endsAfterOne: Serve = async (lines, response, request) => {
    response.write(formatLine({ heard: await lines.next() }));
    await lines.next();
    request.destroy();
  };
  const endsInOrder: Serve = async (lines, response) => {
    response.end(formatLine({ heard: await lines.next() }));
  };
  await using parts = await start([endsAfterOne, endsInOrder, echo]);
  for (const question of [1, 2, 3, 4])
    assert.deepEqual(await parts.exchange.ask(question), { heard: question });
  assert.equal(parts.begun(), 3);
});

/** Asks a server that answers the second and the fourth question. */
async function askWithSilences(deadline: number): Promise<void> {
  const noAnswer = new RegExp(`no answer within ${deadline} ms`);
  const silent: Serve = async () => {};
  const silentThen: Serve = async (lines, response) => {
    response.write(formatLine({ heard: await lines.next() }));
  };
  await using parts = await start([silent, silentThen, silent, echo], deadline);
  const { exchange } = parts;
  await assert.rejects(exchange.ask(1), noAnswer);
  assert.deepEqual(await exchange.ask(2), { heard: 2 });
  // Neither where the exchange has begun well, nor in the one that follows.
  await assert.rejects(exchange.ask(3), noAnswer);
  assert.deepEqual(await exchange.ask(4), { heard: 4 });
}

test('an answer that does not come is a fault, and the next question begins anew', () =>
  withLongerDeadlines(200, askWithSilences));

test('whoever refuses the exchange is no answer', async () => {
  const closed = Promise.withResolvers<void>();
  const refusing: Serve = async (_, response, { socket }) => {
    socket.once('close', () => closed.resolve());
    response.writeHead(400).write(formatLine('an answer'));
  };
  await using parts = await start([refusing, echo]);
  await assert.rejects(parts.exchange.ask(1), /400/);
  await closed.promise;
  assert.deepEqual(await parts.exchange.ask(2), { heard: 2 });
});

test('the other side is not held up by an exchange that has ended here', async () => {
  const ended = Promise.withResolvers<void>();
  const watched: Serve = async (lines, response, request) => {
    request.once('close', ended.resolve);
    await echo(lines, response, request);
  };
  await using parts = await start([watched]);
  await parts.exchange.ask(1);
  parts.exchange[Symbol.dispose]();
  await ended.promise;
});
