import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { readRequestBody } from '../../src/platform/read-body.ts';

/** Returns the reading of the body of the request that `head` begins, and the connection of its client. */
async function received(stack: AsyncDisposableStack, head: string, most: number) {
  const reading = Promise.withResolvers<{ readonly result: Promise<Buffer | undefined> }>();
  const server = createServer((request: IncomingMessage) => {
    const result = readRequestBody(request, most);
    result.catch(() => {});
    reading.resolve({ result });
  }).listen(0, '127.0.0.1');
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  const client: Socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  stack.defer(() => void client.destroy());
  client.write(`POST / HTTP/1.1\r\nhost: a\r\n${head}\r\n\r\n`);
  return { client, ...(await reading.promise) };
}

test('the body of a request is read whole, however its bytes are divided', async () => {
  await using stack = new AsyncDisposableStack();
  const { client, result } = await received(stack, 'content-length: 6', 6);
  client.write('abc');
  client.write('def');
  assert.equal(String(await result), 'abcdef');
});

test('the body of a request is read to a bound', async () => {
  await using stack = new AsyncDisposableStack();
  const { client, result } = await received(stack, 'content-length: 1000000', 5);
  client.write('abcdef');
  assert.equal(await result, undefined);
});

test('the body of a request that breaks off is none', async () => {
  await using stack = new AsyncDisposableStack();
  const { client, result } = await received(stack, 'content-length: 6', 6);
  client.write('abc');
  client.destroy();
  await assert.rejects(result);
});
