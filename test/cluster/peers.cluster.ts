/** What nodes give to one another, and to nobody else. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { createServer as createTcpServer, type Socket } from 'node:net';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after, afterEach, beforeEach, test } from 'node:test';
import {
  type ClusterCore,
  type ClusterCoreOptions,
  joinCluster,
} from '../../src/core/cluster/join-cluster.ts';
import type { OpenBlob } from '../../src/core/pull/receive-blob.ts';
import { ok } from '../../src/core/upstream/upstream-result.ts';
import { makeNodeCertificate, type NodeCertificate } from '../../src/pki/node-certificate.ts';
import { DatabaseUnavailable } from '../../src/platform/database-unavailable.ts';
import { Postgres } from '../../src/platform/postgres.ts';
import type { Digest } from '../../src/registry/digest.ts';
import { newUploadId } from '../../src/registry/upload-id.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT, QUIET } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { startPostgres } from './support/postgres-server.ts';
import { nodeOptions, PATIENT_CLUSTER, startNode } from './support/test-cluster.ts';

const DIGEST = `sha256:${'1'.repeat(64)}` as Digest;
const confirm = async () => ok({ kind: 'blob' });

const server = await startPostgres();
after(() => server[Symbol.asyncDispose]());

let stack: AsyncDisposableStack;
let url: string;
let database: Postgres;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  url = await server.database();
  database = stack.use(new Postgres({ url, application: 'test', connections: 2, deadline: 10_000 }));
});

afterEach(() => stack.disposeAsync());

async function join(
  id: string,
  limits = PATIENT_CLUSTER,
): Promise<{ readonly node: ClusterCore; readonly options: ClusterCoreOptions }> {
  const options = await nodeOptions(url, id, limits);
  return { node: stack.use(await joinCluster(options, { unusedFor: 0, log: QUIET })), options };
}

test('a node knows how far its clock is ahead of that of the database, or behind it', async () => {
  for (const [id, ahead] of [
    ['n1', 10_000],
    ['n2', -10_000],
    ['n3', 0],
  ] as const) {
    const clock = () => Date.now() + ahead;
    const facts = { unusedFor: 0, clock, log: QUIET };
    const { nodes } = stack.use(await joinCluster(await nodeOptions(url, id), facts));
    await waitFor(() => nodes.clockAhead !== undefined);
    const known = nodes.clockAhead ?? Number.NaN;
    // A busy machine takes a while between the two times at which the clock is read.
    assert.ok(Math.abs(known - ahead) < 5_000, `${id}: ${known}`);
  }
});

/** The body of an upstream that sends nothing more. */
function silentUpstream(): { readonly body: Readable; readonly upstream: OpenBlob } {
  const body = new Readable({ read() {} });
  return { body, upstream: async (from) => ok({ from, size: 10, body }) };
}

test('a download that is over keeps no lease, even if somebody still asks for it', async () => {
  const { node } = await join('n1');
  const download = node.sources.begin(DIGEST);
  await download[Symbol.asyncDispose]();
  const { upstream } = silentUpstream();
  assert.equal((await download.open(0, undefined, { upstream, confirm })).kind, 'ok');
  assert.deepEqual(await database.rows('SELECT digest FROM hubgate.download'), []);
  assert.equal(node.leases.held, 0);
});

test('a body that nobody reads yet is closed when the lease is lost, and nothing else breaks', async () => {
  const { node } = await join('n1');
  await using download = node.sources.begin(DIGEST);
  const { body, upstream } = silentUpstream();
  assert.equal((await download.open(0, undefined, { upstream, confirm })).kind, 'ok');
  assert.equal(node.leases.held, 1);
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  body.on('close', resolve);
  await database.change("UPDATE hubgate.download SET node = 'n2', fence = nextval('hubgate.fence')");
  await closed;
});

test('a node that is too busy is still known to have the content; one that has lost it is not', async () => {
  const { node } = await join('n1');
  const { options } = await join('n2');
  await node.nodes.refresh();
  let status = 503;
  const busy = createServer({ key: options.key, cert: options.certificate }, (_, response) => {
    response.writeHead(status).end();
  });
  busy.listen(options.listen);
  await once(busy, 'listening');
  stack.defer(() => void busy.close());
  await database.change("INSERT INTO hubgate.copy (digest, node) VALUES ($1, 'n2')", [DIGEST]);
  const pull = async () => {
    await using download = node.sources.begin(DIGEST);
    const { upstream } = silentUpstream();
    assert.equal((await download.open(0, undefined, { upstream, confirm })).kind, 'ok');
  };
  const copies = () => database.rows<{ node: string }>('SELECT node FROM hubgate.copy');
  await pull();
  assert.deepEqual(await copies(), [{ node: 'n2' }]);
  status = 404;
  await pull();
  assert.deepEqual(await copies(), []);
});

test('a node that has started again since the last look at the nodes is asked, and not the upstream', async () => {
  // The first node looks only when it has a reason.
  const { node } = await join('n1', { ...PATIENT_CLUSTER, renewEvery: 60_000 });
  const { options } = await join('n2');
  await node.nodes.refresh();
  const { key, certificate } = makeNodeCertificate('n2', Date.now());
  const asked: (string | undefined)[] = [];
  const restarted = createServer({ key, cert: certificate }, ({ method, url: target }, response) => {
    asked.push(`${method} ${target}`);
    response.end();
  });
  restarted.listen(options.listen);
  await once(restarted, 'listening');
  stack.defer(() => void restarted.close());
  await database.change("UPDATE hubgate.node SET certificate = $1 WHERE id = 'n2'", [certificate]);
  await database.change("INSERT INTO hubgate.copy (digest, node) VALUES ($1, 'n2')", [DIGEST]);
  await using download = node.sources.begin(DIGEST);
  const upstream = () => assert.fail('the upstream was asked');
  assert.equal((await download.open(0, undefined, { upstream, confirm })).kind, 'ok');
  assert.deepEqual(asked, [`GET /content/${DIGEST}?from=0`]);
});

test('a request for an upload reaches a node that has started again since the last look', async () => {
  const { node } = await join('n1', { ...PATIENT_CLUSTER, renewEvery: 60_000 });
  const { node: other, options } = await join('n2');
  await node.nodes.refresh();
  const { key, certificate } = makeNodeCertificate('n2', Date.now());
  const restarted = createServer({ key, cert: certificate }, (_, response) => response.writeHead(202).end());
  restarted.listen(options.listen);
  await once(restarted, 'listening');
  stack.defer(() => void restarted.close());
  await database.change("UPDATE hubgate.node SET certificate = $1 WHERE id = 'n2'", [certificate]);
  const request = { method: 'PATCH', path: '/', headers: {}, signal: new AbortController().signal };
  const answer = await node.uploadOwners.send(newUploadId(other.uploadOwners.own), request);
  assert.equal(answer?.statusCode, 202);
  answer?.resume();
});

test('a node that is frozen is waited for until its lease runs out, and no longer', async () => {
  const { node } = await join('n1');
  const { options } = await join('n2');
  await node.nodes.refresh();
  // The kernel of a frozen node accepts connections.
  const connections = new Set<Socket>();
  const frozen = createTcpServer((socket) => connections.add(socket));
  frozen.listen(options.listen);
  await once(frozen, 'listening');
  stack.defer(() => {
    for (const socket of connections) socket.destroy();
    frozen.close();
  });
  await database.change(
    `INSERT INTO hubgate.download (digest, node, fence, lease_until)
      VALUES ($1, 'n2', nextval('hubgate.fence'), now() + interval '1 s')`,
    [DIGEST],
  );
  await using download = node.sources.begin(DIGEST);
  const { upstream } = silentUpstream();
  const begun = performance.now();
  assert.equal((await download.open(0, undefined, { upstream, confirm })).kind, 'ok');
  assert.ok(connections.size > 0);
  assert.ok(performance.now() - begun < PATIENT_CLUSTER.peerAnswer);
});

test('however many strangers ask a node, it reads the nodes once at a time', async () => {
  const { node } = await join('n1');
  assert.equal(node.nodes.refresh(), node.nodes.refresh());
});

test('a node answers nobody without the certificate of a node, and any offset', async () => {
  const hub = stack.use(await FakeHub.start());
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  const image = imageOf({ size: 100_000 });
  hub.push('acme/app', 'latest', image);
  const digest = image.layers[0] ?? assert.fail();
  const options = await nodeOptions(url, 'n1');
  const core = stack.use(await startNode(hub, url, 'n1', options));
  await core.ask('acme/app/manifests/latest');
  assertBytes(await core.blob(`acme/app/blobs/${digest}`), image.blobs.get(digest) ?? assert.fail());
  const { options: other } = await join('n2');
  const { host = '', port } = options.listen;
  const get = (own: Partial<NodeCertificate>, target: string) => {
    const { key, certificate: cert } = own;
    const tls = { tls: true, ca: options.certificate, checkServerIdentity: () => undefined };
    return ask({
      host,
      port,
      path: target,
      ...tls,
      ...(key && { key }),
      ...(cert && { cert }),
      agent: false,
    });
  };
  const target = `/content/${digest}?from=0`;
  assert.equal((await get({}, target)).status, 403);
  // The name of a node proves nothing.
  assert.equal((await get(makeNodeCertificate('n2', Date.now()), target)).status, 403);
  assert.equal((await get(other, target)).body.length, 100_000 + 8);
  assert.equal((await get(other, `/content/${digest}?from=${2 ** 52}`)).body.length, 4);
  assert.equal((await get(other, `/content/${digest}?from=1e300`)).status, 400);
  assert.equal((await get(other, '/content/sha256:..%2f..%2findex.db')).status, 400);
});

test('wrong bytes of another node are fetched from the upstream the next time', async () => {
  const hub = stack.use(await FakeHub.start());
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  const image = imageOf({ size: 100_000 });
  hub.push('acme/app', 'latest', image);
  const digest = image.layers[0] ?? assert.fail();
  const bytes = image.blobs.get(digest) ?? assert.fail();
  const first = stack.use(await startNode(hub, url, 'n1'));
  const second = stack.use(await startNode(hub, url, 'n2'));
  for (const one of [first, second]) await one.ask('acme/app/manifests/latest');
  assertBytes(await first.blob(`acme/app/blobs/${digest}`), bytes);
  const hex = digest.slice('sha256:'.length);
  const file = path.join(first.directory, 'data/blobs/sha256', hex.slice(0, 2), hex);
  const stored = await readFile(file);
  assertBytes(stored, bytes);
  await chmod(file, 0o600);
  await writeFile(file, stored.fill(0, 500));
  await second.blob(`acme/app/blobs/${digest}`).catch(() => {});
  await waitFor(async () => {
    const got = await second.blob(`acme/app/blobs/${digest}`).catch(() => 0);
    return Buffer.isBuffer(got) && got.equals(bytes);
  });
});

test('a database that is read-only is one that cannot be used, and a wrong statement is a fault', async () => {
  const { pathname } = new URL(url);
  await join('n1');
  server.run(`ALTER DATABASE ${pathname.slice(1)} SET default_transaction_read_only = on`);
  await using later = new Postgres({ url, application: 'test', connections: 1, deadline: 10_000 });
  await assert.rejects(later.change('DELETE FROM hubgate.copy'), DatabaseUnavailable);
  await assert.rejects(later.change('DELETE FROM hubgate.nothing'), (error: Error) => {
    return !(error instanceof DatabaseUnavailable);
  });
});
