/** What is purged on one node goes from all of them, also from a node that was away. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { forgetNode } from '../../src/cluster/manage-nodes.ts';
import { Purges } from '../../src/cluster/purges.ts';
import { Postgres } from '../../src/platform/postgres.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { ACCOUNT, type TestCore } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { startPostgres } from './support/postgres-server.ts';
import { startNode } from './support/test-cluster.ts';

const server = await startPostgres();
after(() => server[Symbol.asyncDispose]());

let hub: FakeHub;
let database: string;
let nodes: TestCore[];
let image: TestImage;
let layer: string;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  image = imageOf({ size: 100_000 });
  layer = image.layers[0] ?? assert.fail();
  hub.push('acme/app', 'latest', image);
  hub.push('acme/other', 'latest', image);
  database = await server.database();
  nodes = [];
  for (const id of ['n1', 'n2', 'n3']) nodes.push(await startNode(hub, database, id));
});

afterEach(async () => {
  for (const one of nodes) await one[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function node(index: number): TestCore {
  return nodes[index] ?? assert.fail();
}

async function pull(on: TestCore, repository = 'acme/app'): Promise<void> {
  assert.equal((await on.ask(`${repository}/manifests/latest`)).status, 200);
  assertBytes(
    await on.blob(`${repository}/blobs/${layer}`),
    image.blobs.get(image.layers[0] ?? assert.fail()),
  );
}

/** Lists those of the digests that are on the disk of a node. */
function onDisk(on: TestCore): readonly string[] {
  return [image.digest, layer].filter((digest) => {
    const hex = digest.split(':')[1] ?? '';
    return existsSync(path.join(on.directory, 'data/blobs/sha256', hex.slice(0, 2), hex));
  });
}

function count(table: string, where = 'true'): number {
  return Number(server.run(`SELECT count(*) FROM hubgate.${table} WHERE ${where}`, database));
}

test('what is purged on one node goes from the disks of all, and from the database', async () => {
  for (const one of nodes) await pull(one);
  assert.equal(count('manifest'), 1);
  const { body } = await node(0).send({
    ...{ path: '/cache/purge', method: 'POST' },
    send: JSON.stringify({ repository: 'acme/app', reference: null }),
  });
  assert.equal(JSON.parse(body.toString()).nodes, 2);
  await waitFor(() => nodes.every((one) => onDisk(one).length === 0));
  await waitFor(() => count('purge') === 0 && count('copy') === 0);
  assert.equal(count('manifest'), 0);
  // It is no ban: the next pull asks the upstream again.
  await pull(node(1));
});

test('what another repository contains too stays on all nodes', async () => {
  for (const one of nodes) {
    await pull(one);
    await pull(one, 'acme/other');
  }
  assert.equal(await node(0).purge('acme/app'), 200);
  for (const one of nodes) assert.deepEqual(onDisk(one), [image.digest, layer]);
  assert.equal(count('purge'), 0);
  assert.equal(count('manifest'), 1);
});

test('a node that was away removes what was purged when it is back', async () => {
  for (const one of nodes) await pull(one);
  await node(2).restart({}, async () => {
    assert.equal(await node(0).purge('acme/app', layer), 200);
    await waitFor(() => onDisk(node(1)).length === 1);
    assert.equal(count('purge', "node = 'n3'"), 1);
    assert.deepEqual(onDisk(node(2)), [image.digest, layer]);
  });
  await waitFor(() => onDisk(node(2)).length === 1);
  await waitFor(() => count('purge') === 0);
});

test('a node that was away keeps what an upstream has confirmed again', async () => {
  for (const one of nodes) await pull(one);
  await node(2).restart({}, async () => {
    assert.equal(await node(0).purge('acme/app', layer), 200);
    await waitFor(() => onDisk(node(1)).length === 1);
    await pull(node(1));
  });
  await waitFor(() => count('purge') === 0);
  assert.deepEqual(onDisk(node(2)), [image.digest, layer]);
});

test('content that was arriving when it was purged goes with the next purge or a little later', async () => {
  for (const one of nodes) await one.ask('acme/app/manifests/latest');
  hub.plant('cdn', /^GET/, { kind: 'drip', bytes: 10_000, every: 20 });
  const response = await node(1).open(`acme/app/blobs/${layer}`);
  response.resume();
  await waitFor(() => hub.log.some(({ server: on, bytes }) => on === 'cdn' && bytes > 0));
  assert.equal(await node(0).purge('acme/app', layer), 200);
  await waitFor(() => count('purge', "node = 'n3'") === 0);
  await once(response, 'end');
  await waitFor(() => onDisk(node(1)).includes(layer));
  assert.equal(count('purge', "node = 'n2'"), 1);
  assert.equal(await node(0).purge('acme/app', image.digest), 200);
  await waitFor(() => count('purge') === 0);
  assert.deepEqual(onDisk(node(1)), []);
});

test('a node that has lost its disk is not asked for the copies that it had', async () => {
  for (const one of nodes) await pull(one);
  await waitFor(() => count('copy', "node = 'n3'") === 2);
  await node(2).restart({}, () => rm(path.join(node(2).directory, 'data'), { recursive: true }));
  await waitFor(() => count('copy', "node = 'n3'") === 0);
  await pull(node(2));
  await waitFor(() => count('copy', "node = 'n3'") === 2);
});

test('a purge that comes while a node removes the content is not taken for the one before', async () => {
  await using queries = new Postgres({
    url: database,
    application: 'test',
    connections: 1,
    deadline: 60_000,
  });
  server.run(
    `INSERT INTO hubgate.node (id, run, address, certificate, version, beat_at)
      VALUES ('away', 'r', 'a:1', 'c', '0.1.0', now() - interval '1 hour')`,
    database,
  );
  const purges = new Purges(queries, 'away');
  await purges.requestFromAll(image.digest);
  const [first = assert.fail()] = await purges.pending(0, 10);
  await purges.requestFromAll(image.digest);
  await purges.done(first);
  const [second = assert.fail()] = await purges.pending(0, 10);
  assert.ok(second.fence > first.fence);
  assert.deepEqual(await purges.pending(second.fence, 10), []);
  await purges.done(second);
  assert.equal(count('purge', "node = 'away'"), 0);
  await purges.requestFromAll(image.digest);
  await forgetNode(queries, 'away');
  assert.equal(count('purge', "node = 'away'"), 0);
});
