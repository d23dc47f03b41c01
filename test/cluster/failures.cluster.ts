/** What clients see when nodes end, freeze, or lose the database. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { assertBytes } from '../support/assert-bytes.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import type { RunningMirror } from '../support/running-mirror.ts';
import { untilTrue } from '../support/until-true.ts';
import { waitFor } from '../support/wait-for.ts';
import { pullFrom, TestNodes } from './support/test-nodes.ts';

const SIZE = 3_000_000;

let cluster: TestNodes;
let token: string;
let image: TestImage;
let blob: string;
let bytes: Buffer;

before(async () => {
  cluster = await TestNodes.start();
  await cluster.add('zoe');
});

beforeEach(async () => {
  cluster.hub.heal();
  cluster.hub.log.length = 0;
  image = imageOf({ size: SIZE });
  const digest = image.layers[0] ?? assert.fail();
  bytes = image.blobs.get(digest) ?? assert.fail();
  blob = `acme/app/blobs/${digest}`;
  cluster.hub.push('acme/app', 'latest', image);
  token = await cluster.login(1, 'zoe');
});

after(() => cluster[Symbol.asyncDispose]());

/** The downloads of blobs, each with the bytes that were sent. */
function downloads(): readonly number[] {
  return cluster.hub.log
    .filter(({ server, bytes: sent }) => server === 'cdn' && sent > 0)
    .map((entry) => entry.bytes);
}

/** Begins a download by the first node, which stops in the middle, and two that follow it. */
async function beginInTheMiddle() {
  for (const node of cluster.nodes)
    assert.equal((await pullFrom(node, token, `acme/app/manifests/${image.digest}`)).status, 200);
  const gate = Promise.withResolvers<void>();
  cluster.hub.plant('cdn', /^GET/, { kind: 'pause', at: SIZE / 2, gate: gate.promise }, 1);
  const own = pullFrom(cluster.node(0), token, blob).catch((error: Error) => error);
  await waitFor(() => downloads().length === 1);
  const followers = [1, 2].map((index) => pullFrom(cluster.node(index), token, blob));
  // Both have received something when they are no longer alone with the beginning.
  await waitFor(() => (downloads()[0] ?? 0) >= SIZE / 2);
  return { gate, own, followers };
}

async function signalCore(index: number, signal: NodeJS.Signals): Promise<void> {
  const [pid] = await cluster.node(index).pids('core');
  process.kill(pid ?? assert.fail(), signal);
}

test('a core that is killed in the middle of a download is replaced by a node that followed it', async () => {
  const { gate, own, followers } = await beginInTheMiddle();
  await signalCore(0, 'SIGKILL');
  for (const answer of await Promise.all(followers)) assertBytes(answer.body, bytes);
  gate.resolve();
  await own;
  const again = await pullFrom(cluster.node(0), token, blob).catch(() => undefined);
  await waitFor(async () => {
    const answer = again ?? (await pullFrom(cluster.node(0), token, blob).catch(() => undefined));
    return answer?.status === 200 && answer.body.equals(bytes);
  });
  assert.equal(downloads().length, 2);
});

test('a core that freezes loses its lease, and stops its download when it wakes up', async () => {
  const { gate, own, followers } = await beginInTheMiddle();
  await signalCore(0, 'SIGSTOP');
  try {
    for (const answer of await Promise.all(followers)) assertBytes(answer.body, bytes);
  } finally {
    await signalCore(0, 'SIGCONT');
  }
  const first = cluster.hub.log.find(({ server }) => server === 'cdn');
  // It closes the connection in the middle, and gets the rest from a node that has it.
  await waitFor(() => first?.status !== 0);
  gate.resolve();
  const answer = await own;
  if (!(answer instanceof Error)) assertBytes(answer.body, bytes);
  assert.equal(downloads().length, 2);
  assert.ok((downloads()[0] ?? SIZE) < SIZE);
});

test('a database that is restarted under pulls costs no cached pull and no token', async () => {
  for (const node of cluster.nodes) assertBytes((await pullFrom(node, token, blob)).body, bytes);
  let isOver = false;
  const statuses = new Set<number>();
  const pulling = cluster.nodes.map(async (node) => {
    while (!isOver) statuses.add((await pullFrom(node, token, blob)).status);
  });
  await cluster.server.stop();
  await cluster.server.start();
  await cluster.login(2, 'zoe');
  isOver = true;
  await Promise.all(pulling);
  assert.deepEqual([...statuses], [200]);
});

test('invariant 13: a revocation counts within a second on nodes that have just found the database again', async () => {
  await cluster.add('ada');
  const own = await cluster.login(1, 'ada');
  const ask = (node: RunningMirror) => pullFrom(node, own, 'acme/app/manifests/latest');
  for (const node of cluster.nodes) assert.equal((await ask(node)).status, 200);
  const name = new URL(cluster.database).pathname.slice(1);
  // The connections of two nodes end, and they get no new ones, so they hear nothing of the change.
  cluster.server.run(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
  cluster.server.run(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^hubgate .* n[23]$'",
  );
  assert.equal((await cluster.node(0).run('user', 'disable', 'ada')).code, 0);
  await waitFor(async () => (await ask(cluster.node(0))).status === 401);
  for (const index of [1, 2]) assert.equal((await ask(cluster.node(index))).status, 200);
  cluster.server.run(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
  const took = await untilTrue(async () => {
    const answers = await Promise.all(cluster.nodes.map(ask));
    return answers.every(({ status }) => status === 401);
  });
  assert.ok(took <= 1_000, `after ${took} ms`);
});

test('each node says within two seconds that the database is frozen, or is away', async () => {
  const saysSo = async (node: RunningMirror) => {
    const { body } = await node.admin('/readyz');
    return typeof JSON.parse(body.toString()).core?.cluster?.error === 'string';
  };
  const all = async (isSaid: boolean) =>
    (await Promise.all(cluster.nodes.map(saysSo))).every((says) => says === isSaid);
  for (const what of ['is frozen', 'is away'] as const) {
    await waitFor(() => all(false));
    if (what === 'is frozen') cluster.server.signal('SIGSTOP');
    else await cluster.server.stop();
    try {
      const took = await untilTrue(() => all(true));
      assert.ok(took <= 2_000, `${what}: after ${took} ms`);
    } finally {
      if (what === 'is frozen') cluster.server.signal('SIGCONT');
      else await cluster.server.start();
    }
  }
  await waitFor(() => all(false));
});

test('a database that freezes costs no cached pull, and later no other one', async () => {
  for (const node of cluster.nodes) assertBytes((await pullFrom(node, token, blob)).body, bytes);
  const next = imageOf({ size: SIZE });
  cluster.hub.push('acme/app', 'next', next);
  cluster.server.signal('SIGSTOP');
  try {
    for (const node of cluster.nodes) assertBytes((await pullFrom(node, token, blob)).body, bytes);
    assert.equal((await pullFrom(cluster.node(1), token, 'acme/app/manifests/next')).status, 503);
  } finally {
    cluster.server.signal('SIGCONT');
  }
  for (const node of cluster.nodes)
    await waitFor(async () => (await pullFrom(node, token, 'acme/app/manifests/next')).status === 200);
});
