import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get } from 'node:https';
import { after, afterEach, test } from 'node:test';
import { GATEWAY_LIMITS } from '../../src/gateway/limits.ts';
import type { TestResponse } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { basic, PASSWORD } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const ALPINE = '/v2/library/alpine/manifests/latest';
const POLICY = 'allow: [{ pull: library/**, to: authenticated },\n  { pull: public/**, to: anonymous }]';
const LIMITS = {
  inFlight: { ofAddress: 6, ofSubject: 4 },
  coreQuestions: { concurrent: 8, concurrentEach: 1, waiting: 8, waitingEach: 1 },
  authQuestions: { ...GATEWAY_LIMITS.authQuestions, concurrentEach: 2, waitingEach: 1 },
};

const { hub, hubgate } = await withMirror(
  { after },
  {
    policy: POLICY,
    users: ['ana', 'jin'],
    limits: LIMITS,
    images: { 'library/alpine': imageOf(), 'library/slow': imageOf(), 'public/slow': imageOf() },
  },
);
const tokenOf = (user: string) => hubgate.token(user, 'library/alpine', 'library/slow');
const tokens = { ana: await tokenOf('ana'), jin: await tokenOf('jin') };
assert.equal((await hubgate.ask(ALPINE, { token: tokens.jin })).status, 200);

/** What is in flight, and how it is ended. */
const stack = new DisposableStack();
let inFlight = new AbortController();

afterEach(async () => {
  inFlight.abort();
  inFlight = new AbortController();
  hub.heal();
  hub.takeRequests();
});

/** Sends a request from an address on its own connection, which the signal aborts. */
function from(address: string, target: string, authorization?: string, signal = inFlight.signal) {
  const agent = stack.adopt(new Agent(), (one) => one.destroy());
  return hubgate.send({
    ...{ path: target, agent, localAddress: address, family: 4, host: '127.0.0.1', signal },
    headers: authorization === undefined ? {} : { authorization },
  });
}

const slow = (tag: string) => `/v2/library/slow/manifests/${tag}`;
const askedFor = (tag: string) => hub.log.some(({ path }) => path.endsWith(`/${tag}`));
const hang = () => hub.plant('registry', /slow/, { kind: 'hang' });
/** Begins a download; it goes on until it is abandoned. */
async function begin(localAddress: string, path: string, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const { ca, port } = hubgate;
  const signal = inFlight.signal;
  const options = {
    host: '127.0.0.1',
    servername: 'localhost',
    port,
    ca,
    path,
    localAddress,
    headers,
    signal,
  };
  const request = get({ ...options, agent: false });
  request.on('error', () => {});
  const [response] = await once(request, 'response');
  response.on('error', () => {});
  assert.equal(response.statusCode, 200);
}

/** It may be cut off at the end of a test. */
const ignored = (response: Promise<TestResponse>) => void response.catch(() => {});

function assertTooMany({ status, headers, body }: TestResponse): void {
  assert.equal(status, 429);
  assert.equal(headers['retry-after'], '1');
  assert.equal(JSON.parse(body.toString()).errors[0].code, 'TOOMANYREQUESTS');
}

/** Of two questions at the same moment one has to wait, and the other one finds no place. */
async function takeLastPlace(target: (tag: string) => string, authorization?: string) {
  const gone = new AbortController();
  const two = ['two', 'three'].map((tag) => from('127.0.0.1', target(tag), authorization, gone.signal));
  const refused = await Promise.race(two);
  assertTooMany(refused);
  return { leave: () => gone.abort(), both: Promise.allSettled(two) };
}

test('invariant 16: who asks for many cold tags is told to come back, and others are not kept waiting', async () => {
  const [ana, jin] = [`Bearer ${tokens.ana}`, `Bearer ${tokens.jin}`];
  hang();
  ignored(from('127.0.0.1', slow('one'), ana));
  await waitFor(() => askedFor('one'));
  const last = await takeLastPlace(slow, ana);
  assertTooMany(await from('127.0.0.2', slow('four'), ana));
  hub.push('library/slow', 'cold', imageOf());
  hub.heal();
  assert.equal((await from('127.0.0.1', slow('cold'), jin)).status, 200);
  assert.equal(askedFor('two') || askedFor('three'), false);
  last.leave();
  await last.both;
});

test('invariant 16: what a client that has gone asked for is not begun', async () => {
  const ana = `Bearer ${tokens.ana}`;
  hang();
  ignored(from('127.0.0.1', slow('first'), ana));
  await waitFor(() => askedFor('first'));
  const last = await takeLastPlace(slow, ana);
  last.leave();
  await last.both;
  hub.push('library/slow', 'next', imageOf());
  // It takes the place in the queue that has become free.
  const next = from('127.0.0.1', slow('next'), ana, new AbortController().signal);
  hub.heal();
  inFlight.abort();
  inFlight = new AbortController();
  assert.equal((await next).status, 200);
  assert.equal(askedFor('two') || askedFor('three'), false);
});

test('invariant 16: anonymous requests share by address', async () => {
  hang();
  const target = (tag: string) => `/v2/public/slow/manifests/${tag}`;
  ignored(from('127.0.0.1', target('one')));
  await waitFor(() => askedFor('one'));
  const last = await takeLastPlace(target);
  hub.push('public/slow', 'cold', imageOf());
  hub.heal();
  assert.equal((await from('127.0.0.2', target('cold'))).status, 200);
  last.leave();
  await last.both;
});

test('invariant 16: requests in flight are bounded by subject and by address, and a probe is answered', async () => {
  // Downloads that nobody reads to their end.
  const layer = imageOf({ size: 200_000 });
  hub.push('library/slow', 'layer', layer);
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  hub.plant('cdn', /./, { kind: 'pause', at: 100, gate });
  const blob = `/v2/library/slow/blobs/${layer.layers[0]}`;
  const { ofSubject, ofAddress } = LIMITS.inFlight;
  for (let count = 0; count < ofSubject; count++) await begin('127.0.0.1', blob, tokens.ana);
  assertTooMany(await from('127.0.0.2', ALPINE, `Bearer ${tokens.ana}`));
  assert.equal((await from('127.0.0.2', ALPINE, `Bearer ${tokens.jin}`)).status, 200);
  for (let count = ofSubject; count < ofAddress; count++) await begin('127.0.0.1', blob, tokens.jin);
  assertTooMany(await from('127.0.0.1', ALPINE, `Bearer ${tokens.jin}`));
  assert.equal((await from('127.0.0.2', ALPINE, `Bearer ${tokens.jin}`)).status, 200);
  assert.equal((await from('127.0.0.1', '/healthz')).status, 200);
  open();
  inFlight.abort();
  inFlight = new AbortController();
  // What is over is counted no longer.
  await waitFor(async () => (await from('127.0.0.1', ALPINE, `Bearer ${tokens.ana}`)).status === 200);
});

test('invariant 14: who guesses from one address keeps nobody elsewhere waiting for a login', async () => {
  const guesses = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name) =>
    from('127.0.0.2', '/token?service=x', basic(name, 'wrong')),
  );
  const right = from('127.0.0.3', '/token?service=x', basic('jin', PASSWORD));
  const statuses = (await Promise.all(guesses)).map(({ status }) => status);
  assert.ok(statuses.includes(429), statuses.join());
  assert.ok(statuses.includes(401), statuses.join());
  assert.equal((await right).status, 200);
});

test('invariant 16: a refused login keeps its place for a while, so that a flood of them costs little', async () => {
  const begun = performance.now();
  const guess = (address: string, name: string) => from(address, '/token?service=x', basic(name, 'wrong'));
  const { concurrentEach } = LIMITS.authQuestions;
  for (let count = 0; count < concurrentEach; count++)
    assert.equal((await guess('127.0.0.4', `one-${count}`)).status, 401);
  const next = guess('127.0.0.4', 'next').then(() => performance.now() - begun);
  assert.equal((await guess('127.0.0.5', 'elsewhere')).status, 401);
  assert.ok((await next) > 500);
});

test('invariant 16: a missing tag keeps the place of its question for a while', async () => {
  const ana = `Bearer ${tokens.ana}`;
  const begun = performance.now();
  const count = 5;
  // Only one question of a subject runs at a time.
  for (let tag = 0; tag < count; tag++)
    assert.equal((await from('127.0.0.1', slow(`missing-${tag}`), ana)).status, 404);
  assert.ok(performance.now() - begun > 90 * (count - 1));
});
