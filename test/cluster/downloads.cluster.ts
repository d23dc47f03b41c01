import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';
import { assertBytes } from '../support/assert-bytes.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { ACCOUNT, type TestCore } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { startPostgres } from './support/postgres-server.ts';
import { PATIENT_CLUSTER, startNode } from './support/test-cluster.ts';

const server = await startPostgres();
after(() => server[Symbol.asyncDispose]());

let hub: FakeHub;
let database: string;
let nodes: TestCore[];
let image: TestImage;
let bytes: Buffer;
let blob: string;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: ['acme/secret'] });
  image = imageOf({ size: 3_000_000 });
  const digest = image.layers[0] ?? assert.fail();
  bytes = image.blobs.get(digest) ?? assert.fail();
  blob = `blobs/${digest}`;
  hub.push('acme/app', 'latest', image);
  hub.push('acme/secret', 'latest', image, { private: true });
  hub.push('acme/without', 'latest', imageOf());
  database = await server.database();
  nodes = await Promise.all(['n1', 'n2', 'n3'].map((id) => startNode(hub, database, id)));
});

afterEach(async () => {
  for (const node of nodes) await node[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function node(index: number): TestCore {
  return nodes[index] ?? assert.fail();
}

function downloads(): number {
  return hub.log.filter(({ server: on, bytes: sent }) => on === 'cdn' && sent > 0).length;
}

function manifestGets(): number {
  return hub.log.filter(({ server: on, method, path, status }) => {
    return on === 'registry' && method === 'GET' && path.includes('/manifests/') && status === 200;
  }).length;
}

test('the upstream sends a manifest and a blob once to the whole cluster, whoever asks', async () => {
  const answers = await Promise.all(nodes.map((one) => one.ask('acme/app/manifests/latest')));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200],
  );
  assert.equal(manifestGets(), 1);
  for (const got of await Promise.all(nodes.map((one) => one.blob(`acme/app/${blob}`))))
    assertBytes(got, bytes);
  assert.equal(downloads(), 1);
});

test('a node that comes later gets a blob from a node that has it, with the upstream gone', async () => {
  for (const one of nodes) await one.ask('acme/app/manifests/latest');
  assertBytes(await node(0).blob(`acme/app/${blob}`), bytes);
  await hub.stop();
  assertBytes(await node(1).blob(`acme/app/${blob}`), bytes);
  assertBytes(await node(2).blob(`acme/app/${blob}`), bytes);
});

test('a node gets a blob from one that has joined since its last sign of life', async () => {
  // The other nodes say only once a minute that they are alive, and read then who else is.
  const limits = { ...PATIENT_CLUSTER, renewEvery: 60_000 };
  await using early = await startNode(hub, database, 'early', { limits });
  await early.ask('acme/app/manifests/latest');
  await using late = await startNode(hub, database, 'late', { limits });
  await late.ask('acme/app/manifests/latest');
  assertBytes(await late.blob(`acme/app/${blob}`), bytes);
  await hub.stop();
  assertBytes(await early.blob(`acme/app/${blob}`), bytes);
});

test('a node receives the bytes of a download by another one while they arrive', async () => {
  for (const one of nodes) await one.ask('acme/app/manifests/latest');
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 1_500_000, gate: gate.promise });
  const first = node(0).blob(`acme/app/${blob}`);
  await waitFor(() => downloads() === 1);
  const following = await node(1).open(`acme/app/${blob}`);
  let progress = '';
  following.setEncoding('utf8').on('data', (text: string) => {
    progress += text;
  });
  await waitFor(() => /"written":1[0-9]{6}\b/.test(progress));
  gate.resolve();
  assertBytes(await first, bytes);
  assertBytes(await node(1).blob(`acme/app/${blob}`), bytes);
  assert.equal(downloads(), 1);
});

test('a repository without a digest gets nothing from another node either', async () => {
  for (const one of nodes) await one.ask('acme/without/manifests/latest');
  await node(0).ask('acme/app/manifests/latest');
  assertBytes(await node(0).blob(`acme/app/${blob}`), bytes);
  assert.equal((await node(1).ask(`acme/without/${blob}`)).status, 404);
  assert.equal((await node(1).ask(`acme/secret/${blob}`)).status, 404);
  assert.equal((await node(1).ask(`acme/secret/manifests/${image.digest}`)).status, 404);
  assertBytes(await node(1).blob(`acme/secret/${blob}`, 'private'), bytes);
});

test('a node that is stopped in the middle of a download is replaced by one that follows it', async () => {
  for (const one of nodes) await one.ask('acme/app/manifests/latest');
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 1_500_000, gate: gate.promise }, 1);
  const first = await node(0).open(`acme/app/${blob}`);
  first.on('error', () => {});
  await waitFor(() => downloads() === 1);
  const followed = node(1).blob(`acme/app/${blob}`);
  const partial = await node(2).open(`acme/app/${blob}`);
  let progress = '';
  partial.setEncoding('utf8').on('data', (text: string) => {
    progress += text;
  });
  await waitFor(() => /"written":1[0-9]{6}\b/.test(progress));
  await nodes.shift()?.[Symbol.asyncDispose]();
  gate.resolve();
  assertBytes(await followed, bytes);
  // The bytes that the survivors had already were not fetched again.
  const sent = hub.log.filter(({ server: on }) => on === 'cdn').map((entry) => entry.bytes);
  assert.equal(sent.length, 2);
  assert.ok((sent[1] ?? 0) <= bytes.length - 1_000_000, `${sent}`);
});

test('what one node withdraws no other node serves', async () => {
  for (const one of nodes) {
    await one.ask('acme/app/manifests/latest');
    assertBytes(await one.blob(`acme/app/${blob}`), bytes);
  }
  hub.setPrivate('acme/app', true);
  assert.equal(await node(0).purge('acme/app'), 200);
  await waitFor(async () => (await node(1).ask(`acme/app/${blob}`)).status === 404);
  await waitFor(async () => (await node(2).ask(`acme/app/${blob}`)).status === 404);
});

test('two nodes of one name are refused, and a node that starts again takes its place', async () => {
  await assert.rejects(startNode(hub, database, 'n1'), /a node named n1 runs at another address/);
  await nodes.shift()?.[Symbol.asyncDispose]();
  nodes.unshift(await startNode(hub, database, 'n1'));
  assert.equal((await node(0).ask('acme/app/manifests/latest')).status, 200);
});

test('without the database a node serves what it remembers, and refuses the rest until it is back', async () => {
  const limits = { ...PATIENT_CLUSTER, query: 1_000 };
  nodes.push(await startNode(hub, database, 'n4', { limits }));
  await node(3).ask('acme/app/manifests/latest');
  assertBytes(await node(3).blob(`acme/app/${blob}`), bytes);
  await server.stop();
  try {
    assertBytes(await node(3).blob(`acme/app/${blob}`), bytes);
    const refused = await node(3).ask(`acme/without/blobs/${image.config}`);
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers['retry-after']) > 0);
  } finally {
    await server.start();
  }
  await waitFor(async () => (await node(3).ask('acme/without/manifests/latest')).status === 200);
});
