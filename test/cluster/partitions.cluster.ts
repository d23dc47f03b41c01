/**
 * What clients see when a node is cut from the database, from the other nodes, or from the object store. Each
 * node is in a network namespace of its own, and what it sends to the other side is lost without a word.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, beforeEach, suite, test } from 'node:test';
import { assertBytes } from '../support/assert-bytes.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ObjectServer, settingsOf, startVersity, whyNoServer } from './support/object-servers.ts';
import { Segment, whyNoSegment } from './support/segment.ts';
import { POLICY, pullFrom, TestNodes } from './support/test-nodes.ts';

const SIZE = 2_000_000;
const SKIP = whyNoSegment() || (await whyNoServer('versitygw'));

suite('a node that is cut off', { skip: SKIP }, () => {
  const stack = new AsyncDisposableStack();
  let segment: Segment;
  let s3: ObjectServer;
  let cluster: TestNodes;
  let token: string;
  let image: TestImage;
  let digest: TestImage['digest'];
  let bytes: Buffer;

  before(async () => {
    s3 = stack.use(await startVersity());
    segment = stack.use(await Segment.make());
    segment.serve('objects', () => Number(new URL(s3.endpoint).port));
    const settings = {
      ...settingsOf(s3),
      HUBGATE_CLUSTER_OBJECTS_ENDPOINT: segment.url('objects').origin,
      HUBGATE_CLUSTER_OBJECTS_INSECURE: 'true',
    };
    cluster = stack.use(await TestNodes.start(settings, POLICY, undefined, segment));
    cluster.hub.isLimited = false;
    await cluster.add('zoe');
  });

  after(() => stack.disposeAsync());

  beforeEach(async () => {
    cluster.hub.heal();
    cluster.hub.log.length = 0;
    token = await cluster.login(1, 'zoe');
    image = await publish('latest');
    digest = image.layers[0] ?? assert.fail();
    bytes = image.blobs.get(digest) ?? assert.fail();
  });

  /** Pushes an image to the Hub, and lets every node know its manifest. */
  async function publish(tag: string): Promise<TestImage> {
    const next = imageOf({ size: SIZE });
    cluster.hub.push('acme/app', tag, next);
    for (const index of cluster.nodes.keys())
      await waitFor(async () => (await ask(index, `manifests/${next.digest}`))?.status === 200);
    return next;
  }

  function ask(index: number, below: string) {
    return pullFrom(cluster.node(index), token, `acme/app/${below}`).catch(() => undefined);
  }

  async function pull(index: number): Promise<void> {
    await waitFor(async () => {
      const answer = await ask(index, `blobs/${digest}`);
      if (answer?.status !== 200) return false;
      assertBytes(answer.body, bytes);
      return true;
    });
  }

  function upstreamBytes(): number {
    const sent = cluster.hub.log.filter(({ server, path: at }) => server === 'cdn' && at.includes(digest));
    return sent.reduce((sum, entry) => sum + entry.bytes, 0);
  }

  async function assertStored(): Promise<void> {
    const row = () =>
      cluster.server.run(`SELECT key FROM hubgate.object WHERE digest = '${digest}'`, cluster.database);
    await waitFor(() => row() !== '');
    assertBytes(await readFile(path.join(s3.bucket ?? assert.fail(), row().trim())), bytes);
  }

  /** Begins a pull that follows a download, and resolves when its first bytes have come. */
  async function follow(index: number): Promise<{ readonly whole: Promise<void> }> {
    const begun = Promise.withResolvers<void>();
    const headers = { authorization: `Bearer ${token}` };
    const options = { headers, onHeaders: () => begun.resolve() };
    const answer = cluster.node(index).ask(`/v2/acme/app/blobs/${digest}`, options);
    // A client that is cut off asks again.
    const whole = answer.then(
      ({ status, body }) => (status === 200 ? assertBytes(body, bytes) : pull(index)),
      () => pull(index),
    );
    await Promise.race([begun.promise, whole]);
    return { whole };
  }

  /** Begins a download by the first node, which stops in the middle until `gate` opens. */
  async function beginInTheMiddle() {
    const gate = Promise.withResolvers<void>();
    cluster.hub.plant('cdn', /^GET/, { kind: 'pause', at: SIZE / 2, gate: gate.promise }, 1);
    const own = pull(0);
    await waitFor(() => upstreamBytes() >= SIZE / 2);
    return { gate, own };
  }

  test('from the database: it serves what it remembers, refuses the rest, and goes on later', async () => {
    await pull(0);
    const anonymous = () =>
      cluster
        .node(0)
        .ask(`/v2/acme/secret/manifests/${image.digest}`)
        .catch(() => undefined);
    cluster.hub.push('acme/secret', 'latest', image, { private: true });
    const join = segment.cut(0, 'database');
    try {
      assertBytes((await ask(0, `blobs/${digest}`))?.body, bytes);
      cluster.hub.push('acme/app', 'next', imageOf({ size: SIZE }));
      await waitFor(async () => (await ask(0, 'manifests/next'))?.status === 503);
      assert.equal((await anonymous())?.status, 401);
      // The others do not notice.
      assert.equal((await ask(1, 'manifests/next'))?.status, 200);
      await pull(1);
    } finally {
      join();
    }
    await waitFor(async () => (await ask(0, 'manifests/next'))?.status === 200);
    assert.ok(upstreamBytes() <= 1.05 * SIZE, `${upstreamBytes()}`);
  });

  test('from the database, in the middle of a download: the others still receive it', async () => {
    const { gate, own } = await beginInTheMiddle();
    const following = [await follow(1), await follow(2)];
    const join = segment.cut(0, 'database');
    try {
      gate.resolve();
      await Promise.all([own, ...following.map(({ whole }) => whole)]);
    } finally {
      join();
    }
    assert.ok(upstreamBytes() <= 1.05 * SIZE, `${upstreamBytes()}`);
    await assertStored();
  });

  test('from the other nodes, in the middle of a download: they get it from the object store', async () => {
    const { gate, own } = await beginInTheMiddle();
    const join = segment.cut(0, 'nodes');
    try {
      gate.resolve();
      await own;
      await assertStored();
      await Promise.all([pull(1), pull(2)]);
    } finally {
      join();
    }
    assert.ok(upstreamBytes() <= 1.05 * SIZE, `${upstreamBytes()}`);
  });

  test('from the object store: it gets content from another node, says so, and puts there later what it lacks', async () => {
    const join = segment.cut(0, 'objects');
    try {
      await waitFor(async () => {
        const { body } = await cluster.node(0).admin('/readyz');
        return typeof JSON.parse(body.toString()).core?.cluster?.objects?.error === 'string';
      });
      for (const index of cluster.nodes.keys()) await pull(index);
    } finally {
      join();
    }
    await assertStored();
    assert.ok(upstreamBytes() <= 1.05 * SIZE, `${upstreamBytes()}`);
  });

  for (const what of ['is frozen', 'loses one connection'] as const)
    test(`while the database ${what} in the middle of a download, everybody receives it`, async () => {
      const { gate, own } = await beginInTheMiddle();
      const following = [await follow(1), await follow(2)];
      if (what === 'is frozen') cluster.server.signal('SIGSTOP');
      else
        cluster.server.run(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hubgate core n1' LIMIT 1",
        );
      try {
        gate.resolve();
        await own;
      } finally {
        cluster.server.signal('SIGCONT');
      }
      await Promise.all(following.map(({ whole }) => whole));
      assert.ok(upstreamBytes() <= 1.05 * SIZE, `${upstreamBytes()}`);
      await assertStored();
    });
});

suite('nodes that do not reach one another, without an object store', { skip: whyNoSegment() }, () => {
  test('what one downloads the other refuses for a while, and then gets from the upstream', async () => {
    await using segment = await Segment.make();
    await using cluster = await TestNodes.start({}, POLICY, undefined, segment);
    const { hub } = cluster;
    hub.isLimited = false;
    await cluster.add('zoe');
    const token = await cluster.login(1, 'zoe');
    const image = imageOf({ size: SIZE });
    hub.push('acme/app', 'latest', image);
    const digest = image.layers[0] ?? assert.fail();
    const bytes = image.blobs.get(digest) ?? assert.fail();
    const pull = (index: number, below = `blobs/${digest}`) =>
      pullFrom(cluster.node(index), token, `acme/app/${below}`);
    for (const index of cluster.nodes.keys())
      await waitFor(async () => (await pull(index, `manifests/${image.digest}`)).status === 200);
    const gate = Promise.withResolvers<void>();
    hub.plant('cdn', /^GET/, { kind: 'pause', at: SIZE / 2, gate: gate.promise }, 1);
    const own = pull(0);
    await waitFor(() => hub.log.some(({ server, bytes: sent }) => server === 'cdn' && sent >= SIZE / 2));
    const join = segment.cut(0, 'nodes');
    try {
      const refused = await pull(1);
      assert.equal(refused.status, 503);
      assert.ok(Number(refused.headers['retry-after']) > 0);
      gate.resolve();
      assertBytes((await own).body, bytes);
      await waitFor(async () => (await pull(1)).status === 200);
      assertBytes((await pull(1)).body, bytes);
    } finally {
      gate.resolve();
      join();
    }
  });
});
