/** Uploads whose requests arrive at different nodes, as behind a balancer of TCP connections. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import type { ClusterLimits } from '../../src/cluster/limits.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { digestOf, errorOf, HostedCore } from '../support/hosted-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { BUCKET, type ObjectServer, startVersity, whyNoServer } from './support/object-servers.ts';
import { type PostgresServer, startPostgres } from './support/postgres-server.ts';
import { nodeOptions, PATIENT_CLUSTER } from './support/test-cluster.ts';

suite('uploads in a cluster', { skip: await whyNoServer('versitygw') }, () => {
  let server: PostgresServer;
  let s3: ObjectServer;
  let database: string;
  let first: HostedCore;
  let second: HostedCore;
  let nodes: HostedCore[] = [];

  before(async () => {
    server = await startPostgres();
    s3 = await startVersity();
  });

  after(async () => {
    await s3?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    database = await server.database();
    first = await start('n1');
    second = await start('n2');
  });

  afterEach(async () => {
    for (const node of nodes) await node[Symbol.asyncDispose]();
    nodes = [];
  });

  async function start(id: string, limits?: ClusterLimits): Promise<HostedCore> {
    const { endpoint, accessKeyFile, secretKeyFile } = s3;
    const place = { endpoint, bucket: BUCKET, prefix: path.basename(database), region: 'us-east-1' };
    const objects = { ...place, accessKeyFile, secretKeyFile, limits: { probe: 60_000 } };
    const node = await HostedCore.start({}, {}, undefined, {
      cluster: { ...(await nodeOptions(database, id, limits)), objects },
    });
    nodes.push(node);
    return node;
  }

  async function stop(node: HostedCore): Promise<void> {
    nodes = nodes.filter((one) => one !== node);
    await node[Symbol.asyncDispose]();
  }

  function uploadsOf(node: HostedCore): Promise<readonly string[]> {
    return readdir(path.join(node.directory, 'uploads'));
  }

  test('each request of an upload may arrive at another node', async () => {
    const bytes = randomBytes(3_000_000);
    const digest = digestOf(bytes);
    const upload = await first.begin();
    const half = bytes.subarray(0, 1_500_000);
    const patched = await second.write('PATCH', upload, { body: half });
    assert.equal(patched.status, 202, patched.body.toString());
    assert.equal(patched.headers['hubgate-location'], upload);
    assert.equal(patched.headers.range, '0-1499999');
    const asked = await second.write('GET', upload);
    assert.equal(asked.status, 204);
    assert.equal(asked.headers.range, '0-1499999');
    assert.deepEqual(await uploadsOf(second), []);
    const put = await second.write('PUT', `${upload}?digest=${digest}`, {
      body: bytes.subarray(1_500_000),
      isStreamed: true,
    });
    assert.equal(put.status, 201, put.body.toString());
    assert.equal(put.headers['docker-content-digest'], digest);
    assert.equal(put.headers['hubgate-size'], String(bytes.length));
    for (const node of nodes)
      assertBytes(await node.core.blob(`acme/app/blobs/${digest}`, 'private', 'hosted'), bytes);
    assert.deepEqual(await uploadsOf(first), []);
  });

  test('an upload reaches a node that has joined since the last sign of life of this one', async () => {
    const limits = { ...PATIENT_CLUSTER, renewEvery: 60_000 };
    const early = await start('early', limits);
    const upload = await (await start('late', limits)).begin();
    assert.equal((await early.write('PATCH', upload, { body: 'abc' })).status, 202);
  });

  test('a chunk out of order and a wrong digest are refused through another node as on the own one', async () => {
    const upload = await first.begin();
    const late = await second.write('PATCH', upload, { body: 'abc', headers: { 'content-range': '7-9' } });
    assert.equal(late.status, 416);
    assert.equal(late.headers.range, '0-0');
    const wrong = await second.write('PUT', `${upload}?digest=${digestOf('xyz')}`, { body: 'abc' });
    assert.equal(wrong.status, 400);
    assert.equal(errorOf(wrong).code, 'DIGEST_INVALID');
    assert.equal((await second.write('GET', upload)).status, 404);
  });

  test('an upload is cancelled through another node', async () => {
    const upload = await first.begin();
    assert.equal((await second.write('DELETE', upload)).status, 204);
    assert.equal((await first.write('GET', upload)).status, 404);
    assert.deepEqual(await uploadsOf(first), []);
  });

  test('an upload of another subject does not exist on another node either', async () => {
    const upload = await first.begin();
    const asked = await second.write('GET', upload, { subject: 'user:zoe' });
    assert.equal(asked.status, 404);
    assert.equal(errorOf(asked).code, 'BLOB_UPLOAD_UNKNOWN');
    assert.equal((await second.write('GET', upload, { repository: 'acme/other' })).status, 404);
  });

  test('a body that breaks off publishes nothing through another node, and the upload goes on', async () => {
    const bytes = randomBytes(400_000);
    const digest = digestOf(bytes);
    const upload = await first.begin();
    const broken = second.open('PUT', `${upload}?digest=${digest}`, { 'content-length': '400000' });
    broken.on('error', () => {});
    broken.write(bytes.subarray(0, 300_000));
    const offset = async () => (await first.write('GET', upload)).headers.range;
    await waitFor(async () => (await offset()) === '0-299999');
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    broken.once('close', resolve).destroy();
    await closed;
    const rest = { body: bytes.subarray(300_000), headers: { 'content-range': '300000-399999' } };
    const put = await second.write('PUT', `${upload}?digest=${digest}`, rest);
    assert.equal(put.status, 201, put.body.toString());
  });

  test('an upload whose node has ended is unknown, and the client begins again', async () => {
    const upload = await first.begin();
    await stop(first);
    const answer = await second.write('PATCH', upload, { body: 'abc' });
    assert.equal(answer.status, 404);
    assert.equal(errorOf(answer).code, 'BLOB_UPLOAD_UNKNOWN');
    await second.pushBlob('abc');
  });

  test('a node that ends in the middle of a request leaves the client with an answer', async () => {
    const upload = await first.begin();
    const sent = second.open('PATCH', upload, { 'content-length': '400000' });
    const answered = once(sent, 'response');
    sent.write(randomBytes(200_000));
    await waitFor(async () => (await first.write('GET', upload)).headers.range === '0-199999');
    await stop(first);
    const [response] = await answered;
    assert.equal(response.statusCode, 404);
    sent.on('error', () => {}).destroy();
  });
});
