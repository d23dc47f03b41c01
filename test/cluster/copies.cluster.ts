/** What the database says of copies may be wrong. That costs a download, and nobody gets wrong bytes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { makeNodeCertificate } from '../../src/pki/node-certificate.ts';
import { Postgres } from '../../src/platform/postgres.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT, type TestCore } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { startPostgres } from './support/postgres-server.ts';
import { PATIENT_CLUSTER, startNode } from './support/test-cluster.ts';

const SIZE = 1_000_000;

const server = await startPostgres();
after(() => server[Symbol.asyncDispose]());

let hub: FakeHub;
let database: string;
let nodes: TestCore[];
let blob: string;
let digest: string;
let bytes: Buffer;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  const image = imageOf({ size: SIZE });
  digest = image.layers[0] ?? assert.fail();
  bytes = image.blobs.get(image.layers[0] ?? assert.fail()) ?? assert.fail();
  blob = `acme/app/blobs/${digest}`;
  hub.push('acme/app', 'latest', image);
  database = await server.database();
  nodes = await Promise.all(['n1', 'n2'].map((id) => startNode(hub, database, id)));
  for (const one of nodes) await one.ask('acme/app/manifests/latest');
});

afterEach(async () => {
  for (const one of nodes) await one[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function node(index: number): TestCore {
  return nodes[index] ?? assert.fail();
}

function downloads(): number {
  return hub.log.filter(({ server: on, bytes: sent }) => on === 'cdn' && sent > 0).length;
}

function placeOf(on: TestCore): string {
  const hex = digest.split(':')[1] ?? '';
  return path.join(on.directory, 'data/blobs/sha256', hex.slice(0, 2), hex);
}

for (const [what, spoiled] of [
  ['other bytes', (right: Buffer) => Buffer.from(right).fill(0, SIZE / 2, SIZE / 2 + 10)],
  ['too few bytes', (right: Buffer) => right.subarray(0, SIZE / 2)],
  ['too many bytes', (right: Buffer) => Buffer.concat([right, Buffer.from('more')])],
] as const)
  test(`a copy of ${what} on another node is not passed on, and is not asked for again`, async () => {
    assertBytes(await node(0).blob(blob), bytes);
    await writeFile(placeOf(node(0)), spoiled(bytes));
    const first = await node(1).blob(blob);
    assert.ok(!Buffer.isBuffer(first) || first.equals(bytes));
    await waitFor(async () => {
      const again = await node(1).blob(blob);
      return Buffer.isBuffer(again) && again.equals(bytes);
    });
    assert.equal(downloads(), 2);
  });

test('a copy that is gone from the disk of another node is downloaded again', async () => {
  assertBytes(await node(0).blob(blob), bytes);
  await rm(placeOf(node(0)));
  assertBytes(await node(1).blob(blob), bytes);
  assert.equal(downloads(), 2);
  // The first node has it again, from the second one.
  assertBytes(await node(0).blob(blob), bytes);
  assert.equal(downloads(), 2);
});

test('a node that starts again waits for no lease of its earlier run', async () => {
  await nodes.shift()?.[Symbol.asyncDispose]();
  server.run(
    `INSERT INTO hubgate.download (digest, node, fence, lease_until)
      VALUES ('${digest}', 'n1', nextval('hubgate.fence'), now() + interval '1 day')`,
    database,
  );
  nodes.unshift(await startNode(hub, database, 'n1'));
  assertBytes(await node(0).blob(blob), bytes);
});

test('a node looks for copies again when it has the lease, because another one was faster perhaps', async () => {
  const connected = Promise.withResolvers<Socket>();
  await using stack = new AsyncDisposableStack();
  const silent = stack.adopt(
    createServer((socket) => connected.resolve(socket)),
    (one) => void one.close(),
  );
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  const address = silent.address();
  assert.ok(address !== null && typeof address === 'object');
  const { certificate } = makeNodeCertificate('n0', Date.now());
  server.run(
    `INSERT INTO hubgate.node (id, run, address, certificate, version, beat_at)
      VALUES ('n0', 'x', '127.0.0.1:${address.port}', '${certificate}', '0.2.0', now() + interval '1 day');
     INSERT INTO hubgate.copy (digest, node) VALUES ('${digest}', 'n0')`,
    database,
  );
  const slow = await startNode(hub, database, 'n3');
  nodes.push(slow);
  await slow.ask('acme/app/manifests/latest');
  const waiting = slow.blob(blob);
  const socket = await connected.promise;
  server.run("DELETE FROM hubgate.copy WHERE node = 'n0'", database);
  assertBytes(await node(0).blob(blob), bytes);
  socket.destroy();
  assertBytes(await waiting, bytes);
  assert.equal(downloads(), 1);
});

test('a download whose lease the database does not give is unavailable, and no fault of the upstream', async () => {
  const limits = { ...PATIENT_CLUSTER, query: 2_000 };
  const patient = await startNode(hub, database, 'n3', { limits });
  nodes.push(patient);
  await patient.ask('acme/app/manifests/latest');
  await using locks = new Postgres({ url: database, application: 'test', connections: 1, deadline: 60_000 });
  await locks.transaction(async (queries) => {
    // Leases can be read, and nobody can take one.
    await queries.rows('LOCK TABLE hubgate.download IN EXCLUSIVE MODE');
    const { status, headers } = await patient.ask(blob);
    assert.deepEqual({ status, after: headers['retry-after'] }, { status: 503, after: '5' });
  });
  await waitFor(async () => Buffer.isBuffer(await patient.blob(blob)));
});
