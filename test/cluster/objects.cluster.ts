/** Nodes that share an object store: cores in this process, a real database and a real S3 server. */
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import type { ClusterCoreOptions } from '../../src/core/cluster/join-cluster.ts';
import { CORE_STATUS } from '../../src/protocol/core-api.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { ACCOUNT, type TestCore } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { BUCKET, type ObjectServer, startVersity, whyNoServer } from './support/object-servers.ts';
import { type PostgresServer, startPostgres } from './support/postgres-server.ts';
import { startNode } from './support/test-cluster.ts';

const SIZE = 3_000_000;

suite('nodes with an object store', { skip: await whyNoServer('versitygw') }, () => {
  let server: PostgresServer;
  let s3: ObjectServer;
  let hub: FakeHub;
  let database: string;
  let image: TestImage;
  let digest: string;
  let bytes: Buffer;
  let blob: string;
  const nodes: TestCore[] = [];

  before(async () => {
    server = await startPostgres();
    s3 = await startVersity();
  });

  after(async () => {
    await s3?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    hub = await FakeHub.start();
    hub.accounts.push({ ...ACCOUNT, repositories: [] });
    image = imageOf({ size: SIZE });
    digest = image.layers[0] ?? assert.fail();
    bytes = image.blobs.get(digest as TestImage['digest']) ?? assert.fail();
    blob = `acme/app/blobs/${digest}`;
    hub.push('acme/app', 'latest', image);
    database = await server.database();
  });

  afterEach(async () => {
    for (const node of nodes.splice(0)) await node[Symbol.asyncDispose]();
    await hub[Symbol.asyncDispose]();
  });

  /** Starts a node. A busy machine lets the store answer late, which is no reason to count it as away. */
  async function start(
    id: string,
    limits: { readonly probe?: number; readonly probeEvery?: number } = { probe: 60_000 },
  ): Promise<TestCore> {
    const { endpoint, accessKeyFile, secretKeyFile } = s3;
    const place = { endpoint, bucket: BUCKET, prefix: 'mirror', region: 'us-east-1' };
    const objects: ClusterCoreOptions['objects'] = { ...place, accessKeyFile, secretKeyFile, limits };
    const node = await startNode(hub, database, id, { objects });
    nodes.push(node);
    return node;
  }

  async function stop(node: TestCore): Promise<void> {
    nodes.splice(nodes.indexOf(node), 1);
    await node[Symbol.asyncDispose]();
  }

  function keys(): readonly string[] {
    const rows = server.run(`SELECT key FROM hubgate.object WHERE digest = '${digest}'`, database);
    return rows.split('\n').filter((row) => row !== '');
  }

  async function pull(node: TestCore): Promise<void> {
    assert.equal((await node.ask('acme/app/manifests/latest')).status, 200);
    assertBytes(await node.blob(blob), bytes);
  }

  async function objectsOf(node: TestCore) {
    return CORE_STATUS.parse(await node.operation('/status')).cluster?.objects ?? assert.fail();
  }

  function downloads(): number {
    return hub.log.filter(({ server: on, bytes: sent }) => on === 'cdn' && sent > 0).length;
  }

  function objectFile(key: string | undefined): string {
    return path.join(s3.bucket ?? assert.fail(), key ?? assert.fail());
  }

  /** Every row has its object. */
  async function assertNoRowWithoutObject(): Promise<void> {
    const all = server.run('SELECT digest, key FROM hubgate.object', database).split('\n');
    for (const row of all.filter((text) => text !== '')) {
      const [of = '', key] = row.split('|');
      assertBytes(await readFile(objectFile(key)), image.blobs.get(of as TestImage['digest']));
    }
  }

  test('a new node gets a blob from the object store, with the other nodes and the upstream gone', async () => {
    const first = await start('n1');
    await pull(first);
    await waitFor(() => keys().length === 1);
    await assertNoRowWithoutObject();
    await stop(first);
    await hub.stop();
    const second = await start('n2');
    assertBytes(await second.blob(blob), bytes);
    assert.equal(downloads(), 1);
  });

  test('a node that has lost its disk gets a blob from the object store', async () => {
    const first = await start('n1');
    await pull(first);
    await waitFor(() => keys().length === 1);
    await first.restart({}, () => rm(path.join(first.directory, 'data'), { recursive: true }));
    assertBytes(await first.blob(blob), bytes);
    assert.equal(downloads(), 1);
    // What came from the store is not put there again.
    assert.deepEqual(await readdir(path.join(first.directory, 'data', 'uploads')), []);
  });

  test('without the store, nodes go on and say so; what it lacks survives a restart and is put there later', async () => {
    const node = await start('n1', { probe: 10_000, probeEvery: 50 });
    await s3.stop();
    try {
      await waitFor(async () => (await objectsOf(node)).error !== null);
      await pull(node);
      await waitFor(async () => (await objectsOf(node)).pending === 1);
      assert.deepEqual(keys(), []);
      await node.restart();
      assert.equal((await objectsOf(node)).pending, 1);
    } finally {
      await s3.start();
    }
    await waitFor(() => keys().length === 1);
    await waitFor(async () => (await objectsOf(node)).pending === 0);
    await assertNoRowWithoutObject();
    await waitFor(async () => (await objectsOf(node)).error === null);
  });

  test('a node that loses its lease during an upload publishes nothing with it', async () => {
    const node = await start('n1');
    let fence = '';
    s3.signal('SIGSTOP');
    try {
      await pull(node);
      const taking = `WITH taken AS (UPDATE hubgate.download SET node = 'n9', fence = nextval('hubgate.fence'),
        lease_until = now() + interval '1 hour' WHERE digest = 'upload ${digest}' RETURNING fence)
        SELECT fence FROM taken`;
      await waitFor(() => {
        fence = server.run(taking, database).trim();
        return fence !== '';
      });
    } finally {
      s3.signal('SIGCONT');
    }
    // The node learns of the loss now, or when it wants to publish.
    const lease = server.run("SELECT fence FROM hubgate.download WHERE node = 'n9'", database).trim();
    assert.equal(lease, fence);
    assert.deepEqual(keys(), []);
    assert.equal((await objectsOf(node)).pending, 1);
    server.run("DELETE FROM hubgate.download WHERE node = 'n9'", database);
    await waitFor(() => keys().length === 1);
    assert.ok(
      Number(keys()[0]?.split('.').at(-1)) > Number(fence),
      `${keys()[0]} is not newer than ${fence}`,
    );
    await assertNoRowWithoutObject();
  });

  test('an object that is wrong or gone is dropped, and the bytes come from elsewhere', async () => {
    const first = await start('n1');
    await pull(first);
    await waitFor(() => keys().length === 1);
    const [key] = keys();
    await writeFile(objectFile(key), Buffer.alloc(SIZE));
    await stop(first);
    const second = await start('n2');
    // The client that gets the wrong bytes sees its download fail, and asks again.
    await waitFor(() => second.blob(blob).then((got) => got instanceof Buffer && got.equals(bytes)));
    assert.equal(downloads(), 2);
    await waitFor(() => keys().length === 1 && keys()[0] !== key);
    await assertNoRowWithoutObject();
    const [next] = keys();
    await rm(objectFile(next));
    const third = await start('n3');
    await stop(second);
    assertBytes(await third.blob(blob), bytes);
    assert.equal(downloads(), 3);
    await waitFor(() => keys().length === 1 && keys()[0] !== next);
    await assertNoRowWithoutObject();
  });

  test('nodes that do not reach one another share blobs through the store', async () => {
    const first = await start('n1');
    const second = await start('n2');
    await pull(first);
    await waitFor(() => keys().length === 1);
    // Nothing listens there.
    server.run("UPDATE hubgate.node SET address = '127.0.0.1:1'", database);
    await pull(second);
    assert.equal(downloads(), 1);
  });

  test('what is purged leaves the object store too, unless another repository contains it', async () => {
    const node = await start('n1');
    hub.push('acme/other', 'latest', image);
    await pull(node);
    assert.equal((await node.ask('acme/other/manifests/latest')).status, 200);
    assertBytes(await node.blob(`acme/other/blobs/${digest}`), bytes);
    await waitFor(() => keys().length === 1);
    const [key] = keys();
    assert.equal(await node.purge('acme/app'), 200);
    assert.deepEqual(keys(), [key]);
    assert.equal(await node.purge('acme/other'), 200);
    assert.deepEqual(keys(), []);
    // The object itself goes when no node can read it any more.
    assert.equal(server.run('SELECT key FROM hubgate.removed_object', database).trim(), key);
  });

  test('the use of a manifest on one node keeps the objects that it names', async () => {
    const first = await start('n1');
    await pull(first);
    await waitFor(() => keys().length === 1);
    await stop(first);
    const second = await start('n2');
    server.run("UPDATE hubgate.object SET used_at = now() - interval '9 days'", database);
    assert.equal((await second.ask(`acme/app/manifests/${image.digest}`)).status, 200);
    // A node tells its uses from time to time, and at its end.
    await stop(second);
    const used = server.run(
      `SELECT used_at > now() - interval '1 hour' FROM hubgate.object WHERE digest = '${digest}'`,
      database,
    );
    assert.equal(used.trim(), 't');
  });
});
