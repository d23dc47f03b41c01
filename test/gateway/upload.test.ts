/** The bodies of pushes: when they are read, and what ends them. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { buffer } from 'node:stream/consumers';
import { beforeEach, test } from 'node:test';
import { decodeJwt } from 'jose';
import { UPLOAD_LIMITS } from '../../src/core/hosted/limits.ts';
import { starvedFor } from '../support/starved-for.ts';
import { PASSWORD, type TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = `allow:
  - { id: ci, push: [acme/**, small/**], to: cid }
  - { id: look, pull: [acme/**, small/**], to: zoe }`;
const WITHOUT = 'allow: [{ id: look, pull: [acme/**, small/**], to: [cid, zoe] }]';
const UPLOADS = '/v2/acme/app/blobs/uploads/';

let hubgate: TestHubgate;

beforeEach(async (t) => {
  ({ hubgate } = await withMirror(t, {
    policy: POLICY,
    users: ['cid', 'zoe'],
    configuration: { hosted: { namespaces: { 'acme/**': {}, 'small/**': { quota: '1465KiB' } } } },
  }));
});

/** The time in milliseconds, without those in which a busy machine gave this process no CPU. */
function now(): number {
  return performance.now() - starvedFor();
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

interface Begun {
  readonly method?: string;
  readonly user?: string;
  readonly token?: string;
  readonly headers?: Record<string, string>;
}

/** Begins a request whose body the test writes. */
function begin(
  path: string,
  { method = 'PATCH', user = 'cid', token, headers = {} }: Begun = {},
): ClientRequest {
  const authorization = token === undefined ? undefined : `Bearer ${token}`;
  const sent = httpsRequest({
    ...{ host: 'localhost', port: hubgate.port, ca: hubgate.ca, path, method, agent: false },
    headers: { ...headers, ...(authorization && { authorization }) },
    ...(authorization === undefined && { auth: `${user}:${PASSWORD}` }),
  });
  // A connection that ends in the middle of the body is what some of these tests are about.
  sent.on('error', () => {});
  return sent;
}

async function answerOf(sent: ClientRequest): Promise<{ response: IncomingMessage; body: string }> {
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { response, body: (await buffer(response).catch(() => Buffer.alloc(0))).toString() };
}

async function openUpload(repository = 'acme/app'): Promise<string> {
  const begun = await hubgate.ask(`/v2/${repository}/blobs/uploads/`, { method: 'POST', user: 'cid' });
  assert.equal(begun.status, 202);
  return String(begun.headers.location);
}

/** Resolves when the core has received bytes of the upload. */
async function bytesArrive(location: string): Promise<void> {
  await waitFor(async () => {
    const { headers } = await hubgate.ask(location, { user: 'cid' });
    return headers.range !== '0-0';
  });
}

test('a client that waits for 100-continue is refused before it sends its body', async () => {
  const refused = begin(UPLOADS, {
    method: 'POST',
    user: 'zoe',
    headers: { expect: '100-continue', 'content-length': '100000' },
  });
  let continued = 0;
  refused.on('continue', () => continued++);
  refused.flushHeaders();
  const { response, body } = await answerOf(refused);
  assert.equal(response.statusCode, 403);
  assert.match(body, /DENIED/);
  assert.equal(response.headers.connection, 'close');
  assert.equal(continued, 0);
  const bytes = randomBytes(1000);
  const allowed = begin(`${UPLOADS}?digest=${digestOf(bytes)}`, {
    ...{ method: 'POST', headers: { expect: '100-continue', 'content-length': '1000' } },
  });
  allowed.flushHeaders();
  await once(allowed, 'continue');
  allowed.end(bytes);
  assert.equal((await answerOf(allowed)).response.statusCode, 201);
});

test('a refused body is not read to its end', async () => {
  const refused = begin(UPLOADS, {
    method: 'POST',
    user: 'zoe',
    headers: { 'content-length': String(2 ** 30) },
  });
  const closed = once(refused, 'close');
  refused.write(randomBytes(1000));
  const { response, body } = await answerOf(refused);
  assert.equal(response.statusCode, 403);
  assert.match(body, /DENIED/);
  assert.equal(response.headers.connection, 'close');
  // The client goes on sending, and its connection ends although its body has not.
  const going = setInterval(() => refused.write(randomBytes(16_384)), 10);
  await closed;
  clearInterval(going);
});

test('a refusal of the core in the middle of a body reaches the client with its words', async () => {
  const location = await openUpload('small/app');
  const sent = begin(location);
  const answer = answerOf(sent);
  let isOver = false;
  void answer.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    sent.write(randomBytes(65_536));
    await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 5))]);
  }
  const { response, body } = await answer;
  assert.equal(response.statusCode, 403, body);
  assert.match(body, /quota/);
  sent.destroy();
});

test('a body of an announced length that cannot fit is refused at once', async () => {
  const location = await openUpload('small/app');
  const sent = begin(location, { headers: { 'content-length': '2000000' } });
  sent.write(randomBytes(10));
  const { response, body } = await answerOf(sent);
  assert.equal(response.statusCode, 403, body);
  assert.match(body, /quota/);
  sent.destroy();
});

test('invariant 13: an upload whose client may not push any more ends, and nothing of it is published', async () => {
  const withdrawals = [
    () => hubgate.setPolicy(WITHOUT),
    () => hubgate.setPolicy(`${POLICY}\ndeny: [{ push: acme/**, to: cid }]`),
  ];
  for (const withdraw of withdrawals) {
    await hubgate.setPolicy(POLICY);
    await waitFor(async () => (await hubgate.ask(UPLOADS, { method: 'POST', user: 'cid' })).status === 202);
    const bytes = randomBytes(2_000_000);
    const digest = digestOf(bytes);
    const location = await openUpload();
    const sent = begin(`${location}?digest=${digest}`, {
      ...{ method: 'PUT', headers: { 'content-length': String(bytes.length) } },
    });
    const answer = answerOf(sent);
    sent.write(bytes.subarray(0, 1_500_000));
    await bytesArrive(location);
    await withdraw();
    const withdrawn = now();
    const { response, body } = await answer;
    assert.ok(now() - withdrawn < 1_000);
    assert.equal(response.statusCode, 403);
    assert.match(body, /withdrawn during this upload/);
    sent.end(bytes.subarray(1_500_000));
    // The requests of an upload come one after the other, so what was cut off has ended before this one.
    await hubgate.setPolicy(POLICY);
    const complete = () => hubgate.ask(`${location}?digest=${digest}`, { method: 'PUT', user: 'cid' });
    await waitFor(async () => (await complete()).status !== 403);
    assert.equal((await complete()).status, 404);
    const blob = await hubgate.ask(`/v2/acme/app/blobs/${digest}`, { user: 'zoe' });
    assert.equal(blob.status, 404);
  }
});

test('invariant 13: a push that waits for its turn ends when its client may not push any more', async () => {
  for (let open = 0; open < UPLOAD_LIMITS.openPerSubject; open++) await openUpload();
  const waiting = begin(UPLOADS, { method: 'POST' });
  const answer = answerOf(waiting);
  waiting.end();
  await once(waiting, 'finish');
  await hubgate.setPolicy(WITHOUT);
  const withdrawn = now();
  const { response, body } = await answer;
  assert.ok(now() - withdrawn < 1_000);
  assert.equal(response.statusCode, 403, body);
});

test('invariant 13: an upload of a user who is removed ends, and nothing of it is published', async () => {
  const bytes = randomBytes(2_000_000);
  const digest = digestOf(bytes);
  const token = await hubgate.scopedToken('cid', 'repository:acme/app:pull,push');
  const location = await openUpload();
  const sent = begin(`${location}?digest=${digest}`, {
    ...{ method: 'PUT', token, headers: { 'content-length': String(bytes.length) } },
  });
  const answer = answerOf(sent);
  sent.write(bytes.subarray(0, 1_500_000));
  await bytesArrive(location);
  await hubgate.removeUser('cid');
  const removed = now();
  assert.equal((await answer).response.statusCode, 403);
  assert.ok(now() - removed < 1_000);
  sent.end(bytes.subarray(1_500_000));
  const blob = await hubgate.ask(`/v2/acme/app/blobs/${digest}`, { user: 'zoe' });
  assert.equal(blob.status, 404);
});

test('an upload outlives its token: it is judged when its headers come, and not at its end', async () => {
  const bytes = randomBytes(2_000_000);
  const token = await hubgate.scopedToken('cid', 'repository:acme/app:pull,push');
  const location = await openUpload();
  const sent = begin(location, { token, headers: { 'content-length': String(bytes.length) } });
  const answer = answerOf(sent);
  sent.write(bytes.subarray(0, 1_500_000));
  await bytesArrive(location);
  hubgate.ahead = 3_600_000;
  // Another request has the token judged by the new time.
  assert.equal((await hubgate.ask(location, { token })).status, 401);
  sent.end(bytes.subarray(1_500_000));
  assert.equal((await answer).response.statusCode, 202);
});

test('a token counts a minute longer than its client is told, where something is hosted', async () => {
  const answer = await hubgate.ask('/token?service=x&scope=repository:acme/app:pull,push', { user: 'cid' });
  const { token, expires_in: lifetime } = JSON.parse(answer.body.toString());
  const { iat = 0, exp = 0 } = decodeJwt(token);
  assert.equal(lifetime, 300);
  assert.equal(exp - iat, 360);
  // Beyond the grace there is the tolerance of clocks.
  hubgate.ahead = 400_000;
  assert.equal((await hubgate.ask(UPLOADS, { method: 'POST', token })).status, 202);
  hubgate.ahead = 425_000;
  const late = await hubgate.ask(UPLOADS, { method: 'POST', token });
  assert.equal(late.status, 401);
  assert.match(String(late.headers['www-authenticate']), /error="invalid_token"/);
});

test('a client that goes away in the middle of a body publishes nothing, and can begin anew', async () => {
  const bytes = randomBytes(500_000);
  const digest = digestOf(bytes);
  const location = await openUpload();
  const sent = begin(`${location}?digest=${digest}`, {
    ...{ method: 'PUT', headers: { 'content-length': String(bytes.length) } },
  });
  sent.write(bytes.subarray(0, 400_000));
  await once(sent, 'socket');
  await waitFor(async () => sent.socket?.bytesWritten !== undefined && sent.socket.bytesWritten > 400_000);
  sent.destroy();
  assert.equal((await hubgate.ask(`/v2/acme/app/blobs/${digest}`, { user: 'zoe' })).status, 404);
  const again = await hubgate.ask(`${UPLOADS}?digest=${digest}`, {
    method: 'POST',
    user: 'cid',
    send: bytes,
  });
  assert.equal(again.status, 201);
});
