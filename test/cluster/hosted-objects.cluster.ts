/** Hosted repositories of a cluster: cores in this process, a real database and a real S3 server. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import type { NamespaceRules } from '../../src/core/hosted/namespace.ts';
import { CORE_STATUS } from '../../src/protocol/core-api.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { digestOf, errorOf, HostedCore, imageOf } from '../support/hosted-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { BUCKET, type ObjectServer, startVersity, whyNoServer } from './support/object-servers.ts';
import { type PostgresServer, startPostgres } from './support/postgres-server.ts';
import { nodeOptions } from './support/test-cluster.ts';

const SIZE = 3_000_000;
const DAY = 86_400_000;

suite('hosted repositories of a cluster', { skip: await whyNoServer('versitygw') }, () => {
  let server: PostgresServer;
  let s3: ObjectServer;
  let database: string;
  let first: HostedCore;
  let second: HostedCore;
  let nodes: HostedCore[] = [];
  /** Each test has its own prefix in the bucket. */
  let prefix = 'p0';
  let bytes: Buffer;
  let digest: string;

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
    prefix = `p${Number(prefix.slice(1)) + 1}`;
    bytes = randomBytes(SIZE);
    digest = digestOf(bytes);
  });

  afterEach(async () => {
    for (const node of nodes) await node[Symbol.asyncDispose]();
    nodes = [];
  });

  /** Starts both nodes. A busy machine lets the store answer late, which is no reason to count it as away. */
  async function startBoth(rules: Partial<NamespaceRules> = {}, limits: object = { probe: 60_000 }) {
    first = await start('n1', rules, limits);
    second = await start('n2', rules, limits);
  }

  async function start(id: string, rules: Partial<NamespaceRules>, limits: object): Promise<HostedCore> {
    const { endpoint, accessKeyFile, secretKeyFile } = s3;
    const place = { endpoint, bucket: BUCKET, prefix, region: 'us-east-1' };
    const objects = { ...place, accessKeyFile, secretKeyFile, limits };
    const cluster = { ...(await nodeOptions(database, id)), objects };
    const node = await HostedCore.start(rules, {}, undefined, { cluster });
    nodes.push(node);
    return node;
  }

  /** Ends a node, with its disk. */
  async function lose(node: HostedCore): Promise<void> {
    nodes = nodes.filter((one) => one !== node);
    await node[Symbol.asyncDispose]();
  }

  function pull(node: HostedCore, of = digest): Promise<Buffer | number> {
    return node.core.blob(`acme/app/blobs/${of}`, 'private', 'hosted');
  }

  function ask(sql: string): readonly string[] {
    return server
      .run(sql, database)
      .split('\n')
      .filter((row) => row !== '');
  }

  function keys(): readonly string[] {
    return ask('SELECT object FROM hubgate.hosted_content ORDER BY object');
  }

  /** Lists the hosted objects in the store. */
  async function objects(): Promise<readonly string[]> {
    const root = path.join(s3.bucket ?? assert.fail(), prefix, 'hosted');
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    const files = entries.filter((entry) => entry.isFile());
    return files
      .map(({ parentPath, name }) =>
        path.relative(path.dirname(path.dirname(root)), path.join(parentPath, name)),
      )
      .toSorted();
  }

  function objectFile(key: string | undefined): string {
    return path.join(s3.bucket ?? assert.fail(), key ?? assert.fail());
  }

  test('what is pushed on one node is pulled on another one, and stays there as a copy', async () => {
    await startBoth();
    await first.pushBlob(bytes);
    assert.deepEqual(keys(), await objects());
    assert.match(keys()[0] ?? '', /^p\d+\/hosted\/sha256\/[0-9a-f]{2}\/[0-9a-f]{64}\.[0-9a-f]{32}$/);
    assertBytes(await pull(second), bytes);
    // Both have copies now, and what came from the store is not put there again.
    await rm(objectFile(keys()[0]));
    for (const node of nodes) {
      assertBytes(await pull(node), bytes);
      assert.deepEqual(await readdir(path.join(node.core.directory, 'data', 'uploads')), []);
      assert.deepEqual(await readdir(path.join(node.directory, 'uploads')), []);
    }
    assert.deepEqual(ask('SELECT digest FROM hubgate.object'), []);
  });

  test('every push that was answered survives the loss of its node with its disk', async () => {
    await startBoth();
    const manifest = await first.pushImage('v1', 'a layer');
    await lose(first);
    const pulled = await second.read('manifests/v1');
    assert.equal(pulled.status, 200);
    assert.equal(pulled.body.toString(), manifest);
    assertBytes(await pull(second, digestOf('a layer')), Buffer.from('a layer'));
    assertBytes(await pull(second, digestOf('{}')), Buffer.from('{}'));
  });

  test('an upload of parts is whole', async () => {
    // Stores want parts of 5 MiB at least.
    const part = 5 * 2 ** 20;
    await startBoth({}, { probe: 60_000, single: part, part });
    bytes = randomBytes(2 * part + 1);
    digest = digestOf(bytes);
    await first.pushBlob(bytes);
    assertBytes(await readFile(objectFile(keys()[0])), bytes);
    assertBytes(await pull(second), bytes);
  });

  test('what is deleted on one node is unknown on another one at once', async () => {
    await startBoth();
    await first.pushImage('v1', 'a layer');
    assert.equal((await second.read('manifests/v1')).status, 200);
    assert.equal((await first.write('DELETE', 'manifests/v1')).status, 202);
    assert.equal((await second.read('manifests/v1')).status, 404);
  });

  test('a blob of another repository is mounted on another node without its bytes', async () => {
    await startBoth();
    await first.pushBlob(bytes);
    const mounted = await second.write('POST', `blobs/uploads/?mount=${digest}`, {
      repository: 'acme/other',
      body: '',
      headers: { 'hubgate-mount-from': 'hosted acme/app public' },
    });
    assert.equal(mounted.status, 201, mounted.body.toString());
    assert.equal(keys().length, 1);
    assertBytes(await second.core.blob(`acme/other/blobs/${digest}`, 'private', 'hosted'), bytes);
  });

  test('one of two pushes of an immutable tag at the same time is accepted, whichever node gets it', async () => {
    await startBoth({ immutableTags: ['*'] });
    const config = await first.pushBlob('{}');
    const manifests: string[] = [];
    for (const layer of ['one', 'two'])
      manifests.push(imageOf(config, await first.pushBlob(layer), layer.length));
    const answers = await Promise.all([
      first.pushManifest('v1', manifests[0] ?? ''),
      second.pushManifest('v1', manifests[1] ?? ''),
    ]);
    const statuses = answers.map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 201).length, 1, statuses.join());
    const lost = answers.find(({ status }) => status !== 201) ?? assert.fail();
    assert.equal(lost.status, 409);
    const won = manifests[statuses.indexOf(201)];
    for (const node of nodes) assert.equal((await node.read('manifests/v1')).body.toString(), won);
  });

  test('the same blob that is pushed on two nodes at the same time has one object', async () => {
    await startBoth();
    await Promise.all([first.pushBlob(bytes), second.pushBlob(bytes, { repository: 'acme/other' })]);
    assert.equal(keys().length, 1);
    await waitFor(async () => (await objects()).length === 1);
    assert.deepEqual(await objects(), keys());
    // A blob that is there already is not put again.
    await second.pushBlob(bytes, { repository: 'acme/third' });
    assert.deepEqual(await objects(), keys());
  });

  test('a push that is refused leaves no object', async () => {
    await startBoth({ quota: SIZE + 1000 });
    await first.pushBlob(bytes);
    const upload = await first.begin({ repository: 'acme/other' });
    const other = randomBytes(5000);
    // Its length is not announced, so the quota is only exceeded in the end.
    const put = await first.write('PUT', `${upload}?digest=${digestOf(other)}`, {
      ...{ repository: 'acme/other', body: other, isStreamed: true },
    });
    assert.equal(put.status, 403, put.body.toString());
    assert.deepEqual(await objects(), keys());
    assert.equal(keys().length, 1);
  });

  test('without the store, a push is refused and can be repeated, and copies are served', async () => {
    await startBoth({}, { probe: 10_000, probeEvery: 50 });
    await first.pushBlob(bytes);
    const upload = await first.begin();
    await s3.stop();
    try {
      const put = await first.write('PUT', `${upload}?digest=${digestOf('late')}`, { body: 'late' });
      assert.equal(put.status, 503);
      assert.equal(errorOf(put).code, 'UNAVAILABLE');
      assert.match(
        errorOf(put).message,
        /^the object store of this registry cannot be used now: .+; push again later$/,
      );
      assert.equal(put.headers['retry-after'], '5');
      for (const node of nodes)
        await waitFor(async () => {
          const { cluster } = CORE_STATUS.parse(await node.core.operation('/status'));
          return typeof cluster?.objects?.error === 'string';
        });
      const begun = await first.write('POST', 'blobs/uploads/', { body: '' });
      assert.equal(begun.status, 503);
      assertBytes(await pull(first), bytes);
      const elsewhere = await second.read(`blobs/${digest}`);
      assert.equal(elsewhere.status, 503);
      assert.equal(elsewhere.headers['retry-after'], '5');
      assert.equal(keys().length, 1);
    } finally {
      await s3.start();
    }
    await waitFor(async () => (await first.write('POST', 'blobs/uploads/', { body: '' })).status === 202);
    await waitFor(async () => (await second.write('POST', 'blobs/uploads/', { body: '' })).status === 202);
    await first.pushBlob('late');
    assertBytes(await pull(second, digestOf('late')), Buffer.from('late'));
    assertBytes(await pull(second), bytes);
  });

  test('without the database, a push is refused and can be repeated, and nothing is lost', async () => {
    await startBoth();
    await first.pushBlob(bytes);
    const upload = await first.begin();
    await server.stop();
    try {
      const refused = [
        await first.write('PUT', `${upload}?digest=${digestOf('late')}`, { body: 'late' }),
        await second.read(`blobs/${digest}`),
        await second.pushManifest('1.0', imageOf(digest, digest, SIZE)),
      ];
      for (const { status, headers } of refused)
        assert.deepEqual({ status, after: headers['retry-after'] }, { status: 503, after: '5' });
    } finally {
      await server.start();
    }
    await waitFor(async () => (await first.read(`blobs/${digest}`)).status === 200);
    await first.pushBlob('late');
    assertBytes(await pull(second, digestOf('late')), Buffer.from('late'));
    assertBytes(await pull(second), bytes);
  });

  test('an object that the store has lost comes back with the next push', async () => {
    await startBoth();
    await first.pushBlob(bytes);
    const [lost] = keys();
    await rm(objectFile(lost));
    assert.equal((await second.read(`blobs/${digest}`)).status, 503);
    await second.pushBlob(bytes);
    assert.equal(keys().length, 1);
    assert.notEqual(keys()[0], lost);
    await lose(second);
    assertBytes(await readFile(objectFile(keys()[0])), bytes);
    assert.deepEqual(ask('SELECT key FROM hubgate.removed_object'), [lost]);
  });

  test('wrong bytes of the store reach nobody, and a verification tells of them', async () => {
    await startBoth();
    await first.pushBlob(bytes);
    const verify = async () => (await first.core.operation('/hosted-repositories/verify', 'POST')) as object;
    assert.deepEqual(await verify(), { blobs: 1, manifests: 0, damages: [] });
    await writeFile(objectFile(keys()[0]), Buffer.alloc(SIZE));
    const got = await pull(second);
    assert.ok(!(got instanceof Buffer), 'wrong bytes were published');
    const { damages } = (await verify()) as { damages: readonly { readonly problem: string }[] };
    assert.equal(damages.length, 1);
    assert.match(
      damages[0]?.problem ?? '',
      /^the bytes of its object p\d+\/hosted\/.+ are not those of its digest$/,
    );
    await rm(objectFile(keys()[0]));
    const { damages: missing } = (await verify()) as { damages: readonly { readonly problem: string }[] };
    assert.match(missing[0]?.problem ?? '', /^its object .+ is missing$/);
  });

  test('the copies of a blob that was collected go from the disks of all nodes', async () => {
    await startBoth();
    await first.pushBlob(bytes);
    assertBytes(await pull(second), bytes);
    const copies = () =>
      Promise.all(
        nodes.map(({ core }) =>
          core.content(digest).then(
            () => 'there',
            () => 'gone',
          ),
        ),
      );
    assert.deepEqual(await copies(), ['there', 'there']);
    // Nothing has named it for a day, so its lease is over.
    for (const { core } of nodes) core.now += 2 * DAY;
    await first.core.send({
      ...{ path: '/hosted-repositories/collect', method: 'POST', send: JSON.stringify({ dryRun: false }) },
    });
    assert.deepEqual(keys(), []);
    await waitFor(async () => (await copies()).every((state) => state === 'gone'));
    await waitFor(() => ask('SELECT digest FROM hubgate.purge').length === 0);
  });

  test('a backup of a cluster says what to do instead', async () => {
    await startBoth();
    const { body } = await first.core.send({
      ...{ path: '/hosted-repositories/backup', method: 'POST' },
      send: JSON.stringify({ directory: path.join(first.core.directory, 'copy') }),
    });
    const answer = JSON.parse(body.toString());
    assert.equal(answer.kind, 'refused');
    assert.match(answer.why, /pg_dump/);
  });
});
