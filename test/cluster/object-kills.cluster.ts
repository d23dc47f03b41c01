/**
 * What three real nodes, a database and an object store keep when one of them is killed, frozen or emptied.
 */
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { after, before, beforeEach, suite, test } from 'node:test';
import { assertBytes } from '../support/assert-bytes.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { untilTrue } from '../support/until-true.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ObjectServer, settingsOf, startVersity, whyNoServer } from './support/object-servers.ts';
import { pullFrom, TestNodes } from './support/test-nodes.ts';

const SIZE = 4_000_000;

suite('three nodes with an object store', { skip: await whyNoServer('versitygw') }, () => {
  let s3: ObjectServer;
  let cluster: TestNodes;
  let token: string;
  let image: TestImage;
  let digest: TestImage['digest'];
  let bytes: Buffer;
  let blob: string;

  before(async () => {
    s3 = await startVersity();
    cluster = await TestNodes.start(settingsOf(s3));
    await cluster.add('zoe');
  });

  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    cluster.hub.log.length = 0;
    image = imageOf({ size: SIZE });
    digest = image.layers[0] ?? assert.fail();
    bytes = image.blobs.get(digest) ?? assert.fail();
    blob = `acme/app/blobs/${digest}`;
    cluster.hub.push('acme/app', 'latest', image);
    token = await cluster.login(1, 'zoe');
    for (const node of cluster.nodes)
      await waitFor(async () => {
        const path = `acme/app/manifests/${image.digest}`;
        const answer = await pullFrom(node, token, path).catch(() => undefined);
        return answer?.status === 200;
      });
  });

  /** Pulls until the whole blob comes, as a client does that is cut off. */
  async function pull(index: number): Promise<void> {
    await waitFor(async () => {
      const answer = await pullFrom(cluster.node(index), token, blob).catch(() => undefined);
      if (answer?.status !== 200) return false;
      assertBytes(answer.body, bytes);
      return true;
    });
  }

  function keys(): readonly string[] {
    const rows = `SELECT key FROM hubgate.object WHERE digest = '${digest}'`;
    return cluster.server
      .run(rows, cluster.database)
      .split('\n')
      .filter((row) => row !== '');
  }

  async function assertStored(): Promise<void> {
    await waitFor(() => keys().length === 1);
    const file = path.join(s3.bucket ?? assert.fail(), keys()[0] ?? assert.fail());
    assertBytes(await readFile(file), bytes);
  }

  function upstreamBytes(): number {
    const sent = cluster.hub.log.filter(({ server, path: at }) => server === 'cdn' && at.includes(digest));
    return sent.reduce((sum, entry) => sum + entry.bytes, 0);
  }

  /** What the body of `/readyz` says of the object store. */
  async function said(index: number): Promise<{ readonly error: unknown; readonly pending: unknown }> {
    const { body } = await cluster.node(index).admin('/readyz');
    return JSON.parse(body.toString()).core?.cluster?.objects ?? {};
  }

  /** Every node says within two seconds that the store is away. */
  async function assertNoticed(): Promise<void> {
    const took = await untilTrue(async () => {
      const all = await Promise.all([...cluster.nodes.keys()].map(said));
      return all.every(({ error }) => typeof error === 'string');
    });
    assert.ok(took <= 2_000, `after ${took} ms`);
  }

  test('the metrics of an object store are those that the documentation names', async () => {
    const page = await readFile(path.join(import.meta.dirname, '../../docs/monitoring.md'), 'utf8');
    const { body } = await cluster.node(2).admin('/metrics');
    const named = (text: string) => new Set(text.match(/\bhubgate_cluster_\w+/g));
    assert.deepEqual(named(String(body)), named(page));
  });

  test('a core that is killed during an upload uploads after its restart, and downloads nothing again', async () => {
    s3.signal('SIGSTOP');
    try {
      await assertNoticed();
      await pull(0);
      const [pid] = await cluster.node(0).pids('core');
      process.kill(pid ?? assert.fail(), 'SIGKILL');
      await waitFor(async () => {
        const [next] = await cluster
          .node(0)
          .pids('core')
          .catch(() => []);
        return next !== undefined && next !== pid;
      });
      assert.deepEqual(keys(), []);
    } finally {
      s3.signal('SIGCONT');
    }
    await assertStored();
    await pull(0);
    assert.ok(upstreamBytes() <= 1.05 * SIZE, `${upstreamBytes()}`);
  });

  test('without the object store pulls go on, each node says so, and all is put there later', async () => {
    await s3.stop();
    try {
      await assertNoticed();
      for (const index of cluster.nodes.keys()) await pull(index);
      assert.ok(upstreamBytes() <= 1.05 * SIZE, `${upstreamBytes()}`);
      assert.deepEqual(keys(), []);
    } finally {
      await s3.start();
    }
    await assertStored();
    for (const index of cluster.nodes.keys())
      await waitFor(async () => {
        const { error, pending } = await said(index);
        return error === null && pending === 0;
      });
  });

  test('a node that has lost its disk fills it from the object store, with all others gone', async () => {
    await pull(0);
    await assertStored();
    await cluster.node(0).stop();
    await cluster.node(1).stop();
    await cluster.node(2).stop();
    await rm(path.join(cluster.node(2).home, 'data'), { recursive: true });
    await cluster.node(2).startAgain();
    token = await cluster.login(2, 'zoe');
    await cluster.hub.stop();
    await pull(2);
    assert.ok(upstreamBytes() <= 1.05 * SIZE, `${upstreamBytes()}`);
  });
});
