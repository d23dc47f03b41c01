/**
 * What becomes of an upload to the object store if the core that sends it is killed or frozen: in the middle
 * of a request, between the parts of a larger object, and when the object is there and its row is not.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Digest } from '../../src/registry/digest.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { imageOf } from '../support/image.ts';
import { signalIfRunning } from '../support/running-mirror.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ObjectServer, settingsOf, startVersity, whyNoServer } from './support/object-servers.ts';
import { type Held, Relay } from './support/relay.ts';
import { pullFrom, TestNodes } from './support/test-nodes.ts';

const MIB = 2 ** 20;
const SMALL = 3 * MIB;
/** Blobs of more than 64 MiB are sent in parts. */
const LARGE = 65 * MIB;

interface Published {
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly token: string;
}

interface Point {
  readonly name: string;
  readonly size: number;
  readonly held: Held;
}

const POINTS: readonly Point[] = [
  { name: 'in the middle of a request', size: SMALL, held: { contentFrom: SMALL / 2 } },
  { name: 'between the parts of a larger object', size: LARGE, held: { contentFrom: 40 * MIB } },
  { name: 'when the object is there and its row is not', size: SMALL, held: 'answers' },
];

suite('an upload to the object store', { skip: await whyNoServer('versitygw') }, () => {
  let s3: ObjectServer;
  let relay: Relay;
  let cluster: TestNodes;

  before(async () => {
    s3 = await startVersity();
    relay = await Relay.start(() => Number(new URL(s3.endpoint).port));
    const through = { HUBGATE_CLUSTER_OBJECTS_ENDPOINT: `http://127.0.0.1:${relay.port}` };
    cluster = await TestNodes.start({ ...settingsOf(s3), ...through });
    cluster.hub.isLimited = false;
    await cluster.add('zoe');
  });

  after(async () => {
    relay?.release();
    await cluster?.[Symbol.asyncDispose]();
    await relay?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  /** The key of each object that a row names, by its digest. */
  function rows(): ReadonlyMap<string, string> {
    const lines = cluster.server.run('SELECT digest, key FROM hubgate.object', cluster.database).split('\n');
    return new Map(
      lines.filter((line) => line !== '').map((line) => line.split('|') as [digest: string, key: string]),
    );
  }

  const bucket = () => s3.bucket ?? assert.fail();

  /** The number of objects of a digest in the store, whether a row names them or not. */
  async function objectsOf(digest: Digest): Promise<number> {
    const hex = digest.slice('sha256:'.length);
    const files = await readdir(bucket(), { recursive: true }).catch(() => []);
    return files.filter((file) => path.basename(file).startsWith(`${hex}.`)).length;
  }

  function lease(digest: Digest): string {
    const held = `SELECT count(*) FROM hubgate.download WHERE digest = 'upload ${digest}' AND lease_until > now()`;
    return cluster.server.run(held, cluster.database).trim();
  }

  /** Pushes an image to the Hub, and lets every node know its manifest. */
  async function publish(size: number): Promise<Published> {
    const { hub } = cluster;
    const image = imageOf({ size });
    const digest = image.layers[0] ?? assert.fail();
    const bytes = image.blobs.get(digest) ?? assert.fail();
    hub.push('acme/app', 'latest', image);
    const token = await cluster.login(0, 'zoe');
    const published = { digest, bytes, token };
    const path = `acme/app/manifests/${image.digest}`;
    for (const index of cluster.nodes.keys())
      await waitFor(async () => (await ask(index, token, path))?.status === 200);
    return published;
  }

  function ask(index: number, token: string, path: string) {
    return pullFrom(cluster.node(index), token, path).catch(() => undefined);
  }

  async function pull(index: number, { digest, bytes, token }: Published): Promise<void> {
    await waitFor(async () => {
      const answer = await ask(index, token, `acme/app/blobs/${digest}`);
      if (answer?.status !== 200) return false;
      assertBytes(answer.body, bytes);
      return true;
    });
  }

  /** Kills the core of the first node until there is another one, or freezes it until its lease is lost. */
  async function disrupt(signal: 'SIGKILL' | 'SIGSTOP', { digest }: Published, during: () => Promise<void>) {
    const [core = assert.fail()] = await cluster.node(0).pids('core');
    process.kill(core, signal);
    try {
      if (signal === 'SIGSTOP') await waitFor(() => lease(digest) === '0');
      else await waitFor(async () => ![undefined, core].includes((await cluster.node(0).pids('core'))[0]));
      await during();
    } finally {
      if (signal === 'SIGSTOP') signalIfRunning(core, 'SIGCONT');
    }
  }

  /** No row is without its object, and the upstream has sent the content once. */
  async function check({ digest, bytes }: Published): Promise<void> {
    for (const [of, key] of rows()) {
      const object = await readFile(path.join(bucket(), key));
      if (of === digest) assertBytes(object, bytes);
    }
    const sent = cluster.hub.log.filter(({ server, path: at }) => server === 'cdn' && at.includes(digest));
    const total = sent.reduce((sum, entry) => sum + entry.bytes, 0);
    assert.ok(total <= 1.05 * bytes.length, `the upstream sent ${total} bytes of ${bytes.length}`);
  }

  for (const signal of ['SIGKILL', 'SIGSTOP'] as const)
    for (const { name, size, held } of POINTS)
      test(`${signal} ${name}`, async () => {
        const published = await publish(size);
        const { digest } = published;
        const reached = relay.hold(held);
        try {
          await pull(0, published);
          await reached;
          if (held === 'answers') await waitFor(async () => (await objectsOf(digest)) === 1);
          // Another node has the content too, before the first one goes.
          await pull(1, published);
          assert.equal(rows().has(digest), false);
          // The others need neither the store nor the node.
          await disrupt(signal, published, () => pull(2, published));
        } finally {
          relay.release();
        }
        await waitFor(() => rows().has(digest));
        await pull(0, published);
        await check(published);
      });
});
