import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { GATEWAY_HEADER, PROBE_HEADER, reachListener } from '../../src/gateway/http/reach-listener.ts';
import { makeAuthority } from '../support/certificates.ts';

const START = 'this-start';
const listen = { host: '127.0.0.1', port: 0 };
const pair = makeAuthority('test').issue({ commonName: 'localhost', usage: { serverAuth: true } });

let servers: Server[];
let asked: string[];
let port: number;

beforeEach(() => {
  servers = [];
  asked = [];
  port = 0;
});

afterEach(() => {
  for (const server of servers) server.close().closeAllConnections();
});

/**
 * A gateway as the kernel sees one: it listens on the port of the others, and gets a share of the
 * connections.
 */
async function addGateway(number: number, isHung = false): Promise<void> {
  const server = createServer({ cert: pair.cert, key: pair.key }, (request, response) => {
    asked.push(String(number));
    if (isHung) return;
    if (request.headers[PROBE_HEADER] === START) response.setHeader(GATEWAY_HEADER, number);
    response.end('ok');
  });
  servers.push(server.listen({ host: '127.0.0.1', port, reusePort: true }));
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
}

test('every gateway that listens is met, whichever the kernel chooses', async () => {
  const numbers = ['1', '2', '3', '4'];
  for (const number of numbers) await addGateway(Number(number));
  for (let turn = 0; turn < 20; turn++) {
    asked = [];
    assert.equal(await reachListener({ listen, port, workers: { count: 4, start: START } }), 'answers');
    assert.deepEqual([...new Set(asked)].sort(), numbers);
  }
});

test('one that hangs is found, and one that does not listen is not waited for', async () => {
  for (const number of [1, 2, 3]) await addGateway(number);
  const workers = { count: 4, start: START };
  assert.equal(await reachListener({ listen, port, workers }), 'answers');
  await addGateway(4, true);
  assert.equal(await reachListener({ listen, port, workers }), 'silent');
});

test('a single gateway is asked once', async () => {
  await addGateway(1);
  assert.equal(await reachListener({ listen, port }), 'answers');
  assert.equal(asked.length, 1);
});
