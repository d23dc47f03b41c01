/**
 * What a home hosts goes into a cluster while the home serves, and back: a whole mirror, the core of a node,
 * a real database and a real S3 server.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import { clusterTransfer } from '../../src/commands/cluster/manage.ts';
import { SqliteHostedDatabase } from '../../src/core/hosted/sqlite-hosted-database.ts';
import { freePort } from '../support/free-port.ts';
import { digestOf, HostedCore, imageOf, OCI_MANIFEST } from '../support/hosted-core.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { QUIET } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { BUCKET, type ObjectServer, startVersity, whyNoServer } from './support/object-servers.ts';
import { type PostgresServer, startPostgres } from './support/postgres-server.ts';
import { nodeOptions } from './support/test-cluster.ts';
import { PASSWORD } from './support/test-nodes.ts';

const POLICY = `version: 1
allow:
  - { id: all, pull: "**", to: authenticated, private: true }
  - { id: ci, push: acme/**, to: zoe }
...
`;
const HOSTED = 'hosted: { namespaces: { "acme/**": { shadow: true } } }\n';
const LOGIN = { authorization: `Basic ${Buffer.from(`zoe:${PASSWORD}`).toString('base64')}` };

suite('hosted repositories move into a cluster and back', { skip: await whyNoServer('versitygw') }, () => {
  let server: PostgresServer;
  let s3: ObjectServer;
  let database: string;
  /** The home that works alone. */
  let alone: RunningMirror;
  let node: HostedCore;
  let stack: AsyncDisposableStack;
  /** Each test has its own prefix in the bucket. */
  let prefix = 'p0';

  before(async () => {
    server = await startPostgres();
    s3 = await startVersity();
  });

  after(async () => {
    await s3?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    stack = new AsyncDisposableStack();
    database = await server.database();
    prefix = `p${Number(prefix.slice(1)) + 1}`;
    const { endpoint, accessKeyFile, secretKeyFile } = s3;
    const place = { endpoint, bucket: BUCKET, prefix, region: 'us-east-1' };
    const objects = { ...place, accessKeyFile, secretKeyFile, limits: { probe: 60_000 } };
    const cluster = { ...(await nodeOptions(database, 'n1')), objects };
    node = stack.use(await HostedCore.start({}, {}, undefined, { cluster }));
    alone = stack.use(await RunningMirror.start({ policy: POLICY, config: HOSTED }));
    const added = await alone.runWith(`${PASSWORD}\n`, 'user', 'add', 'zoe', '--password-stdin');
    assert.equal(added.code, 0, added.output);
    await waitFor(async () => (await write('POST', '/v2/acme/app/blobs/uploads/')).status === 202);
  });

  afterEach(() => stack.disposeAsync());

  function write(method: string, target: string, send = '', type = 'application/octet-stream') {
    const headers = { ...LOGIN, 'content-length': String(Buffer.byteLength(send)), 'content-type': type };
    return alone.ask(target, { method, headers, send });
  }

  async function putBlob(content: string): Promise<string> {
    const begun = await write('POST', '/v2/acme/app/blobs/uploads/');
    const digest = digestOf(content);
    const put = await write('PUT', `${begun.headers.location}?digest=${digest}`, content);
    assert.equal(put.status, 201, put.body.toString());
    return digest;
  }

  /** Pushes an image to the home, and returns its digest and that of its layer. */
  async function push(reference: string | undefined, layer: string, more: object = {}) {
    const manifest = imageOf(await putBlob('{}'), await putBlob(layer), layer.length, more);
    const digest = digestOf(manifest);
    const target = `/v2/acme/app/manifests/${reference ?? digest}`;
    const put = await write('PUT', target, manifest, OCI_MANIFEST);
    assert.equal(put.status, 201, put.body.toString());
    return { digest, layer: digestOf(layer) };
  }

  /** Says in the configuration that the home is a node. A home that runs goes on alone. */
  async function configure(): Promise<void> {
    const { endpoint, accessKeyFile, secretKeyFile } = s3;
    const objects = { endpoint, bucket: BUCKET, prefix, accessKeyFile, secretKeyFile };
    const listen = `127.0.0.1:${await freePort()}`;
    const cluster = JSON.stringify({ database, node: 'n2', listen, objects });
    const text = `server: { url: "https://mirror.corp" }\n${HOSTED}cluster: ${cluster}\n`;
    await writeFile(path.join(alone.home, 'config/hubgate.yaml'), text, { mode: 0o600 });
  }

  async function run(code: 0 | 1, ...args: string[]): Promise<string> {
    const ran = await alone.run(...args);
    assert.equal(ran.code, code, ran.output);
    return ran.output;
  }

  async function digestOfTag(tag: string): Promise<unknown> {
    const pulled = await node.read(`manifests/${tag}`);
    return pulled.status === 200 ? pulled.headers['docker-content-digest'] : pulled.status;
  }

  /** Returns the file of a blob in the home. */
  function fileOf(digest: string): string {
    const [algorithm = '', hex = ''] = digest.split(':');
    return path.join(alone.home, 'hosted/blobs', algorithm, hex.slice(0, 2), hex);
  }

  /** Lists the hosted objects in the store. */
  async function objects(): Promise<readonly string[]> {
    const root = path.join(s3.bucket ?? assert.fail(), prefix, 'hosted');
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    return entries
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .toSorted();
  }

  async function historyOf(tag: string) {
    const query = new URLSearchParams({ repository: 'acme/app', tag });
    const { body } = await node.core.send({ method: 'GET', path: `/hosted-repositories/history?${query}` });
    return JSON.parse(body.toString());
  }

  test('a home that serves is imported with referrers, histories and blobs, and a second run brings later pushes', async () => {
    const layer = randomBytes(100_000).toString('hex');
    const image = await push('latest', layer);
    const subject = { mediaType: OCI_MANIFEST, digest: image.digest, size: 2 };
    const signature = await push(undefined, 'signature', { subject, artifactType: 'application/x' });
    await configure();
    // An import that was killed has left its snapshot.
    await mkdir(path.join(alone.home, 'hosted/import'));
    await writeFile(path.join(alone.home, 'hosted/import/VERSION'), '1');
    const said = await run(0, 'cluster', 'import');
    assert.match(said, /hosted: 2 manifests, 3 blobs and 1 tags are new in the cluster, and 0 are left/);
    assert.equal(await digestOfTag('latest'), image.digest);
    assert.equal((await node.read(`blobs/${image.layer}`)).status, 200);
    const referrers = JSON.parse((await node.read(`referrers/${image.digest}`)).body.toString());
    assert.deepEqual(
      referrers.manifests.map(({ digest, artifactType }: Record<string, string>) => [digest, artifactType]),
      [[signature.digest, 'application/x']],
    );
    const history = JSON.parse(await run(0, 'hosted', 'tags', 'acme/app:latest', '--json'));
    assert.deepEqual(await historyOf('latest'), history);
    assert.equal(history[0].subject, 'user:zoe');
    const verified = await node.core.send({ method: 'POST', path: '/hosted-repositories/verify' });
    assert.deepEqual(JSON.parse(verified.body.toString()).damages, []);
    // Nothing is sent twice, and nothing is left in the home.
    const sent = await objects();
    assert.equal(sent.length, 3);
    assert.match(await run(0, 'cluster', 'import'), /hosted: 0 manifests, 0 blobs and 0 tags are new/);
    assert.deepEqual(await objects(), sent);
    assert.ok(!(await readdir(path.join(alone.home, 'hosted'))).includes('import'));
    const moved = await push('latest', 'later');
    assert.match(await run(0, 'cluster', 'import'), /hosted: 1 manifests, 1 blobs and 1 tags are new/);
    assert.equal(await digestOfTag('latest'), moved.digest);
    assert.equal((await objects()).length, 4);
  });

  test('an import shows on a terminal how far it is', async () => {
    // It takes longer than the time between two drawings.
    await push('latest', randomBytes(20 * 2 ** 20).toString('hex'));
    await configure();
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    Object.assign(stderr, { isTTY: true });
    const code = await clusterTransfer('import', { home: alone.home }, {}, { stdin, stdout, stderr });
    assert.equal(code, 0);
    const textOf = (output: PassThrough) =>
      output
        .end()
        .toArray()
        .then((pieces) => pieces.join(''));
    assert.match(await textOf(stdout), /hosted: 1 manifests, 2 blobs and 1 tags are new/);
    assert.match(await textOf(stderr), /hosted: \d blobs of .+ are done, [12] blobs of .+ are under way/);
  });

  test('what is pushed while an import runs is there after the next one', async () => {
    await push('latest', 'before');
    await configure();
    const importing = alone.run('cluster', 'import');
    let isRunning = true;
    void importing.then(() => (isRunning = false));
    let last = await push('latest', 'first');
    for (let count = 0; isRunning; count++) last = await push('latest', `meanwhile ${count}`);
    const { code, output } = await importing;
    assert.equal(code, 0, output);
    await run(0, 'cluster', 'import');
    assert.equal(await digestOfTag('latest'), last.digest);
    const history = JSON.parse(await run(0, 'hosted', 'tags', 'acme/app:latest', '--json'));
    assert.deepEqual(await historyOf('latest'), history);
  });

  test('a tag of the cluster stays, a damaged blob stays away, and the verb says both and fails', async () => {
    await push('1.0', 'of the home');
    const { digest, layer } = await push('damaged', 'to be damaged');
    await appendFile(fileOf(layer), '!');
    const own = digestOf(await node.pushImage('1.0', 'of the cluster'));
    await configure();
    const said = await run(1, 'cluster', 'import');
    assert.ok(said.includes(`acme/app 1.0: it means ${own} at the target, and stays so`), said);
    assert.ok(said.includes(`acme/app ${digest}: the blob ${layer} is damaged`), said);
    assert.equal(await digestOfTag('1.0'), own);
    assert.equal(await digestOfTag('damaged'), 404);
    assert.ok(!(await objects()).some((key) => key.startsWith(layer.slice(7))));
  });

  test('an import does not remove the snapshot that another one reads', async () => {
    await push('1.0', 'a layer');
    await configure();
    const snapshot = path.join(alone.home, 'hosted/import');
    await mkdir(snapshot);
    {
      using reading = await SqliteHostedDatabase.open(snapshot, QUIET);
      assert.match(await run(1, 'cluster', 'import'), /another import of this home runs/);
      assert.equal(reading.failure, undefined);
      assert.ok((await readdir(snapshot)).includes('hosted.db'));
    }
    assert.match(await run(0, 'cluster', 'import'), /hosted: 1 manifests, 2 blobs and 1 tags are new/);
  });

  test('an image whose blob has no file any more is left, and the others come', async () => {
    const { digest, layer } = await push('lost', 'to be lost');
    const whole = await push('whole', 'a layer');
    await rm(fileOf(layer));
    await configure();
    const left = `acme/app ${digest}: the blob ${layer} is damaged: its file is missing`;
    const said = await run(1, 'cluster', 'import');
    assert.ok(said.includes(left), said);
    assert.equal(await digestOfTag('whole'), whole.digest);
    assert.equal(await digestOfTag('lost'), 404);
    assert.equal(await alone.stop(), 0);
    const again = await run(1, 'cluster', 'import');
    assert.ok(again.includes(left), again);
  });

  test('an import that the store broke off goes on when the store is back, also after the home has stopped', async () => {
    const image = await push('1.0', 'a layer');
    await configure();
    await s3.stop();
    try {
      assert.match(await run(1, 'cluster', 'import'), /the object store cannot be used: /);
    } finally {
      await s3.start();
    }
    assert.equal(await alone.stop(), 0);
    assert.match(await run(0, 'cluster', 'import'), /hosted: 1 manifests, 2 blobs and 1 tags are new/);
    assert.equal(await digestOfTag('1.0'), image.digest);
    await rm(path.join(alone.home, 'hosted'), { recursive: true });
    assert.doesNotMatch(await run(0, 'cluster', 'import'), /hosted/);
  });

  test('what a home hosted before it became a node is imported while it runs as one', async () => {
    const image = await push('1.0', 'a layer');
    await configure();
    assert.equal(await alone.stop(), 0);
    await alone.startAgain();
    assert.match(alone.output, /hosted repositories of its own.*hubgate cluster import/);
    assert.equal(await digestOfTag('1.0'), 404);
    assert.match(await run(0, 'cluster', 'import'), /hosted: 1 manifests, 2 blobs and 1 tags are new/);
    assert.equal(await digestOfTag('1.0'), image.digest);
    const pulled = await alone.ask('/v2/acme/app/manifests/1.0', { headers: LOGIN });
    assert.equal(pulled.headers['docker-content-digest'], image.digest);
  });

  test('nothing is put into a store that belongs to another cluster', async () => {
    await push('1.0', 'a layer');
    await configure();
    const root = path.join(s3.bucket ?? assert.fail(), prefix);
    await mkdir(root, { recursive: true });
    await writeFile(path.join(root, 'hubgate-cluster'), 'another');
    assert.match(await run(1, 'cluster', 'import'), /belongs to another cluster/);
    assert.deepEqual(await objects(), []);
  });

  test('what the cluster hosts is exported, and the home serves it alone', async () => {
    const layer = randomBytes(100_000).toString('hex');
    const manifest = await node.pushImage('1.0', layer);
    const subject = { mediaType: OCI_MANIFEST, digest: digestOf(manifest), size: 2 };
    await node.pushImage('signature', 'signature', {}, { subject });
    assert.equal(await alone.stop(), 0);
    const hosted = path.join(alone.home, 'hosted');
    await rename(hosted, `${hosted}.before`);
    await configure();
    const said = await run(0, 'cluster', 'export');
    assert.match(said, /hosted: 2 manifests, 3 blobs and 2 tags are new in .*hosted, and 0 are left/);
    assert.deepEqual(await readdir(path.join(hosted, 'uploads')), []);
    const history = await historyOf('1.0');
    const later = digestOf(await node.pushImage('1.0', 'later'));
    assert.match(await run(0, 'cluster', 'export'), /hosted: 1 manifests, 1 blobs and 1 tags are new/);
    await writeFile(path.join(alone.home, 'config/hubgate.yaml'), HOSTED, { mode: 0o600 });
    await alone.startAgain();
    const pulled = await alone.ask('/v2/acme/app/manifests/1.0', { headers: LOGIN });
    assert.equal(pulled.headers['docker-content-digest'], later);
    const blob = await alone.ask(`/v2/acme/app/blobs/${digestOf(layer)}`, { headers: LOGIN });
    assert.equal(blob.body.toString(), layer);
    const listed = JSON.parse(await run(0, 'hosted', 'tags', 'acme/app:1.0', '--json'));
    assert.deepEqual(listed.slice(1), history);
    assert.match(await run(0, 'hosted', 'verify'), /all are whole/);
  });

  test('a damaged file of an earlier export is replaced', async () => {
    await node.pushImage('1.0', 'a layer');
    assert.equal(await alone.stop(), 0);
    await configure();
    await run(0, 'cluster', 'export');
    await node.pushImage('2.0', 'another layer');
    const file = fileOf(digestOf('another layer'));
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, 'Another layer');
    assert.match(await run(0, 'cluster', 'export'), /hosted: 1 manifests, 1 blobs and 1 tags are new/);
    assert.equal(await readFile(file, 'utf8'), 'another layer');
  });

  test('a directory whose database is gone gets no new one beside its blobs', async () => {
    await node.pushImage('1.0', 'a layer');
    assert.equal(await alone.stop(), 0);
    await configure();
    await run(0, 'cluster', 'export');
    const directory = path.join(alone.home, 'hosted');
    await rm(path.join(directory, 'hosted.db'));
    assert.match(await run(1, 'cluster', 'export'), /hosted\.db is missing/);
    // All three are moved away together, as docs/cluster.md says.
    for (const name of ['VERSION', 'blobs']) await rm(path.join(directory, name), { recursive: true });
    assert.match(await run(0, 'cluster', 'export'), /hosted: 1 manifests, 2 blobs and 1 tags are new/);
  });

  test('an object that is not its blob is not exported', async () => {
    await node.pushImage('1.0', 'a layer');
    const hex = digestOf('a layer').slice(7);
    const key = (await objects()).find((name) => name.startsWith(hex)) ?? assert.fail();
    const root = path.join(s3.bucket ?? assert.fail(), prefix, 'hosted/sha256', hex.slice(0, 2));
    await writeFile(path.join(root, key), 'A layer');
    assert.equal(await alone.stop(), 0);
    await configure();
    assert.match(await run(1, 'cluster', 'export'), /are not those of its digest/);
    assert.ok(!(await readdir(path.join(alone.home, 'hosted/blobs/sha256', hex.slice(0, 2)))).includes(hex));
  });
});
