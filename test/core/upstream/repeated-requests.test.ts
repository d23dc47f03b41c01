import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { createTransport, type Transport } from '../../../src/core/upstream/transport.ts';
import { Deadline } from '../../../src/platform/scheduling/deadline.ts';
import { DOCKER_HUB } from '../../../src/registry/repository.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf } from '../../support/image.ts';
import { ACCOUNT, SHORT_LIMITS, TestCore } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';

/** A server whose answers a test chooses. The test also sees which connections carried the requests. */
interface Upstream extends AsyncDisposable {
  readonly url: URL;
  readonly connections: Socket[];
  answer: (response: ServerResponse, connection: Socket) => void;
}

async function startUpstream(): Promise<Upstream> {
  const server = createServer((request, response) => upstream.answer(response, request.socket));
  server.keepAliveTimeout = 300_000;
  const upstream: Upstream = {
    get url() {
      return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    },
    connections: [],
    answer: (response) => response.end(),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  server.on('connection', (socket) => upstream.connections.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return upstream;
}

let upstream: Upstream;
let log: LoggedLine[];

beforeEach(async () => {
  upstream = await startUpstream();
  log = [];
});

afterEach(() => upstream[Symbol.asyncDispose]());

async function send(transport: Transport): Promise<number | string> {
  using deadline = new Deadline(30_000);
  const { url } = upstream;
  const options = { host: DOCKER_HUB, url };
  const answer = await transport.send({ method: 'GET', url, upstream: options, signal: deadline.signal });
  if (answer.kind !== 'ok') return answer.kind === 'unavailable' ? answer.failure.detail : answer.reason;
  await answer.value.body.dump?.();
  return answer.value.statusCode;
}

const PATIENT = { ...SHORT_LIMITS, connect: 30_000, headers: 30_000 };

test('a request over a kept connection that was cut meanwhile is repeated over a new one', async () => {
  await using transport = createTransport({ limits: PATIENT, log: testLog(log) });
  assert.equal(await send(transport), 200);
  const [kept] = upstream.connections;
  upstream.answer = (response, connection) =>
    connection === kept ? connection.resetAndDestroy() : response.end();
  assert.equal(await send(transport), 200);
  assert.equal(upstream.connections.length, 2);
  assert.deepEqual(log, [], 'the host is well');
});

test('a request is repeated once, and over a connection that served no other', async () => {
  await using transport = createTransport({ limits: { ...PATIENT, breakAfter: 100 }, log: testLog(log) });
  const asked: (string | undefined)[] = [];
  upstream.answer = (response, connection) => {
    asked.push(response.req.headers.connection);
    connection.resetAndDestroy();
  };
  assert.match(String(await send(transport)), /ECONNRESET|UND_ERR_SOCKET/);
  assert.deepEqual(asked, ['keep-alive', 'close']);
});

test('an answer other than a cut connection is not asked for again', async () => {
  await using transport = createTransport({ limits: { ...PATIENT, breakAfter: 100 }, log: testLog(log) });
  for (const status of [500, 503, 404, 429]) {
    let asked = 0;
    upstream.answer = (response) => {
      asked++;
      response.writeHead(status).end();
    };
    assert.equal(await send(transport), status);
    assert.equal(asked, 1);
  }
});

test('an idle connection is given up long before a firewall would cut it, whatever the upstream offers', async () => {
  await using transport = createTransport({ limits: { ...PATIENT, idle: 50 }, log: testLog(log) });
  upstream.answer = (response) => response.setHeader('keep-alive', 'timeout=300').end();
  assert.equal(await send(transport), 200);
  const [kept] = upstream.connections;
  assert.ok(kept !== undefined);
  if (!kept.destroyed) await once(kept, 'close');
});

test('a manifest that is cut once while it is sent is asked for again, with an account and without a copy', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', 'latest', imageOf());
  await using core = await TestCore.start(hub, { limits: SHORT_LIMITS });
  hub.plant('registry', /^GET .*manifests/, { kind: 'reset', at: 20 }, 1);
  assert.equal((await core.ask('library/alpine/manifests/latest')).status, 200);
  const gets = hub.takeRequests().filter((line) => /^GET registry .*manifests/.test(line));
  assert.equal(gets.length, 2);
});
