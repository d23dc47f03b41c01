import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, Server } from 'node:http';
import { after, beforeEach, test } from 'node:test';
import { openSocketClient } from '../../src/platform/ipc/http-client.ts';
import { socketAddress } from '../../src/platform/ipc/unix-socket.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { basic, PASSWORD } from '../support/test-hubgate.ts';
import { untilTrue } from '../support/until-true.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const MINUTE = 60_000;
const POLICY = `
allow:
  - { pull: library/**, to: authenticated }
  - { pull: acme/**, to: authenticated }
  - { pull: acme/**, to: ana, private: true }
`;

let image: TestImage;
let name: string;
let count = 0;
/** Pulls that the gateways asked the core for. */
let questions = 0;

const { hub, hubgate } = await withMirror(
  { after },
  { policy: POLICY, users: ['ana', 'bo'], privateImages: { 'acme/secret': imageOf() } },
);
const core = socketAddress(hubgate.paths.coreSocket);
subscribe('http.server.request.start', (started) => {
  const { server, request } = started as { server: Server; request: IncomingMessage };
  if (server.address() === core && request.url?.startsWith('/pull/')) questions++;
});

beforeEach(() => {
  image = imageOf({ size: 5_000 });
  name = `library/app-${count++}`;
  hub.push(name, 'latest', image);
});

function get(resource: string, user = 'bo', repository = name, headers = {}) {
  return hubgate.ask(`/v2/${repository}/${resource}`, { user, headers });
}

function resources(): string[] {
  return ['manifests/latest', `manifests/${image.digest}`, `blobs/${image.layers[0]}`];
}

function layer(): Buffer | undefined {
  return image.layers[0] && image.blobs.get(image.layers[0]);
}

/** Asks until the core is not asked any more: first it fetches, then it has it, and then that is known. */
async function untilRemembered(ask: () => Promise<unknown>): Promise<void> {
  await waitFor(async () => {
    const before = questions;
    await ask();
    return questions === before;
  });
}

interface Warming {
  readonly user?: string;
  readonly repository?: string;
  readonly of?: readonly string[];
}

function warm({ user = 'bo', repository = name, of = resources() }: Warming = {}): Promise<void> {
  return untilRemembered(async () => {
    for (const resource of of) assert.equal((await get(resource, user, repository)).status, 200, resource);
  });
}

async function askCore(target: string, content: object): Promise<unknown> {
  await using client = openSocketClient(hubgate.paths.coreSocket);
  const body = JSON.stringify(content);
  const response = await client.request({ method: 'POST', path: target, body, deadline: 5_000 });
  assert.equal(response.statusCode, 200);
  return response.body.json();
}

test('an answer that holds is given again without the core', async (t) => {
  await warm();
  await hubgate.stopCore();
  t.after(() => hubgate.restartCore());
  for (const resource of resources()) {
    const { status, body } = await get(resource);
    assert.equal(status, 200, resource);
    assert.deepEqual(body, resource.startsWith('blobs') ? layer() : image.bytes);
  }
  const part = await get(`blobs/${image.layers[0]}`, 'bo', name, { range: 'bytes=1000-1999' });
  assert.equal(part.status, 206);
  assert.deepEqual(part.body, layer()?.subarray(1000, 2000));
});

test('a HEAD that is remembered is not the answer to a GET', async () => {
  const head = () => hubgate.ask(`/v2/${name}/manifests/latest`, { user: 'bo', method: 'HEAD' });
  await untilRemembered(async () => assert.equal((await head()).status, 200));
  assert.deepEqual((await get('manifests/latest')).body, image.bytes);
});

test('what is purged is fetched again within a second', async () => {
  await warm();
  hub.takeRequests();
  await askCore('/cache/purge', { repository: name, reference: null });
  for (const resource of ['manifests/latest', `blobs/${image.layers[0]}`]) {
    const fetchedAfter = await untilTrue(async () => {
      assert.equal((await get(resource)).status, 200);
      return hub.takeRequests().length > 0;
    });
    assert.ok(fetchedAfter < 1_000);
  }
});

test('a tag is remembered for as long as it is fresh, and one that has moved is another at once', async () => {
  await warm();
  const moved = imageOf();
  hub.push(name, 'latest', moved);
  assert.equal((await get('manifests/latest')).headers['docker-content-digest'], image.digest);
  hubgate.ahead += 60_001;
  assert.equal((await get('manifests/latest')).headers['docker-content-digest'], moved.digest);
});

for (const kind of ['manifests', 'blobs']) {
  test(`invariant 3: ${kind} that are private upstream now are remembered no longer than they were known to be public`, async () => {
    await warm();
    // By digest: to ask for a tag, which is not fresh any more, is to ask whether it is public.
    const [byDigest = ''] = resources().filter((one) => one.startsWith(`${kind}/sha256:`));
    hubgate.ahead += 8 * MINUTE;
    await warm({ of: [byDigest] });
    hub.setPrivate(name, true);
    hubgate.ahead += 3 * MINUTE;
    assert.equal((await get(byDigest)).status, 404);
  });
}

test('invariant 3: private content that was remembered for one is not given to who has no rule for it', async () => {
  hub.push('acme/secret', 'latest', image, { private: true });
  await warm({ user: 'ana', repository: 'acme/secret' });
  for (const resource of resources())
    assert.equal((await get(resource, 'bo', 'acme/secret')).status, 404, resource);
});

test('invariant 1: what is remembered is refused to who may not pull it any more', async () => {
  await warm();
  await hubgate.setPolicy(`${POLICY}\ndeny: [{ pull: ${name}, to: bo }]`);
  await waitFor(async () => (await get('manifests/latest')).status === 403);
  for (const resource of resources()) assert.equal((await get(resource)).status, 403, resource);
  await hubgate.setPolicy(POLICY);
  await waitFor(async () => (await get('manifests/latest')).status === 200);
});

test('what was answered from memory is in the record, also where the gateway ends right after it', async () => {
  await warm();
  const headers = { 'user-agent': 'the last client' };
  const port = await hubgate.addGateway();
  const authorization = basic('bo', PASSWORD);
  const target = `/v2/${name}/manifests/latest`;
  const request = (more = {}) => hubgate.send({ port, path: target, headers: { authorization, ...more } });
  await untilRemembered(request);
  for (const _ of ['once', 'twice', 'thrice']) assert.equal((await request(headers)).status, 200);
  await hubgate.stopAddedGateways();
  const lines = async () => (await hubgate.audit()).filter(({ agent }) => agent === 'the last client');
  // It has ended, and its record is on the way to the disk still.
  await waitFor(async () => (await lines()).length === 3);
  for (const { pull } of await lines()) assert.equal(typeof pull, 'string');
});

test('a pull that is answered from memory is one pull in the record', async () => {
  await warm();
  const headers = { 'user-agent': 'another client' };
  for (const resource of resources()) await get(resource, 'bo', name, headers);
  const lines = async () => (await hubgate.audit()).filter(({ agent }) => agent === 'another client');
  await waitFor(async () => (await lines()).length === 3);
  const [first, ...others] = (await lines()).map(({ pull }) => pull);
  assert.ok(typeof first === 'string');
  assert.deepEqual(others, [first, first]);
  assert.deepEqual(
    (await lines()).map(({ cache }) => cache),
    ['hit', 'hit', 'hit'],
  );
});
