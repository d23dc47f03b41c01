/** Tags of an upstream, as the nodes of a cluster see them. */
import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { ACCOUNT, type TestCore } from '../support/test-core.ts';
import { startPostgres } from './support/postgres-server.ts';
import { startNode } from './support/test-cluster.ts';

/** The freshness of a tag in a `TestCore`, in milliseconds. */
const FRESH_FOR = 60_000;
const TAG = 'acme/app/manifests/latest';

const server = await startPostgres();
after(() => server[Symbol.asyncDispose]());

let hub: FakeHub;
let nodes: TestCore[];
let before: TestImage;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  before = imageOf();
  hub.push('acme/app', 'latest', before);
  const database = await server.database();
  nodes = await Promise.all(['n1', 'n2', 'n3'].map((id) => startNode(hub, database, id)));
});

afterEach(async () => {
  for (const one of nodes) await one[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

/** Asks all nodes at once, and returns the digests of the manifests. */
async function pullAll(): Promise<readonly unknown[]> {
  const answers = await Promise.all(nodes.map((one) => one.ask(TAG)));
  return answers.map(({ status, headers }) => (status === 200 ? headers['docker-content-digest'] : status));
}

function later(milliseconds: number): void {
  for (const one of nodes) one.now += milliseconds;
}

function gets(): number {
  return hub.log.filter(({ server: on, method, path, status }) => {
    return on === 'registry' && method === 'GET' && path.includes('/manifests/') && status === 200;
  }).length;
}

test('nodes that revalidate a tag at once agree, and the manifest is fetched once', async () => {
  assert.deepEqual(await pullAll(), Array(3).fill(before.digest));
  later(FRESH_FOR + 1);
  assert.deepEqual(await pullAll(), Array(3).fill(before.digest));
  assert.equal(gets(), 1);
});

test('a tag that moves is the same on all nodes after its freshness, and is fetched once', async () => {
  assert.deepEqual(await pullAll(), Array(3).fill(before.digest));
  const moved = imageOf();
  hub.push('acme/app', 'latest', moved);
  later(FRESH_FOR + 1);
  assert.deepEqual(await pullAll(), Array(3).fill(moved.digest));
  assert.equal(gets(), 2);
  // A node does not return to what it remembers of the time before.
  later(1);
  assert.deepEqual(await pullAll(), Array(3).fill(moved.digest));
});

test('a tag that one node has seen move is no longer the old one on the others once they are asked', async () => {
  assert.deepEqual(await pullAll(), Array(3).fill(before.digest));
  const moved = imageOf();
  hub.push('acme/app', 'latest', moved);
  const [first] = nodes;
  assert.ok(first);
  first.now += FRESH_FOR + 1;
  assert.equal((await first.ask(TAG)).headers['docker-content-digest'], moved.digest);
  later(FRESH_FOR + 1);
  assert.deepEqual(await pullAll(), Array(3).fill(moved.digest));
  assert.equal(gets(), 2);
});
