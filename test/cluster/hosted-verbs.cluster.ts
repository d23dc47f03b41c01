/**
 * The verbs for operators on a node of a cluster that hosts repositories: each works on any node, for all of
 * them.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import { digestOf, imageOf, OCI_MANIFEST } from '../support/hosted-core.ts';
import type { TestResponse } from '../support/http.ts';
import { imageOf as upstreamImage } from '../support/image.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { waitFor } from '../support/wait-for.ts';
import {
  BUCKET,
  type ObjectServer,
  settingsOf,
  startVersity,
  whyNoServer,
} from './support/object-servers.ts';
import { PASSWORD, TestNodes } from './support/test-nodes.ts';

const POLICY = `version: 1
allow:
  - { id: all, pull: "**", to: authenticated, private: true }
  - { id: ci, push: acme-internal/**, to: zoe }
...
`;
const HOSTED = `hosted:
  namespaces:
    "acme-internal/**": { quota: 1GiB, immutableTags: ["v*"] }
`;
const BYTES = 'application/octet-stream';
const REPOSITORY = 'acme-internal/app';
const LOGIN = { authorization: `Basic ${Buffer.from(`zoe:${PASSWORD}`).toString('base64')}` };

suite('the verbs of hosted repositories in a cluster', { skip: await whyNoServer('versitygw') }, () => {
  let s3: ObjectServer;
  let cluster: TestNodes;
  /** The digests of the two images that are pushed. */
  let first: string;
  let second: string;

  before(async () => {
    s3 = await startVersity();
    cluster = await TestNodes.start(settingsOf(s3), POLICY, HOSTED);
    await cluster.add('zoe');
    for (const index of [0, 1, 2]) await cluster.login(index, 'zoe');
    first = await push(0, 'latest');
    second = await push(1, 'latest');
    await push(2, 'v1');
  });

  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  interface Place {
    readonly node: RunningMirror;
    readonly repository: string;
  }

  function write({ node, repository }: Place, method: string, below: string, send = '', type = BYTES) {
    const headers = { ...LOGIN, 'content-length': String(Buffer.byteLength(send)), 'content-type': type };
    const target = below.startsWith('/') ? below : `/v2/${repository}/${below}`;
    return node.ask(target, { method, headers, send });
  }

  async function putBlob(to: Place, content: string): Promise<string> {
    const begun = await write(to, 'POST', 'blobs/uploads/');
    assert.equal(begun.status, 202, begun.body.toString());
    const digest = digestOf(content);
    const put = await write(to, 'PUT', `${begun.headers.location}?digest=${digest}`, content);
    assert.equal(put.status, 201, put.body.toString());
    return digest;
  }

  /** Pushes an image of its own, and returns its digest. */
  async function pushTo(to: Place, tag: string): Promise<string> {
    const layer = randomBytes(20_000).toString('hex');
    const manifest = imageOf(await putBlob(to, '{}'), await putBlob(to, layer), layer.length);
    const put = await write(to, 'PUT', `manifests/${tag}`, manifest, OCI_MANIFEST);
    assert.equal(put.status, 201, put.body.toString());
    return digestOf(manifest);
  }

  function push(index: number, tag: string): Promise<string> {
    return pushTo({ node: cluster.node(index), repository: REPOSITORY }, tag);
  }

  function pull(index: number, reference: string): Promise<TestResponse> {
    return cluster.node(index).ask(`/v2/${REPOSITORY}/manifests/${reference}`, { headers: LOGIN });
  }

  async function run(index: number, ...args: string[]): Promise<string> {
    const { code, output } = await cluster.node(index).run(...args);
    assert.equal(code, 0, output);
    return output;
  }

  /** Runs a verb that must fail. */
  async function refused(index: number, ...args: string[]): Promise<string> {
    const { code, output } = await cluster.node(index).run(...args);
    assert.equal(code, 1, output);
    return output;
  }

  test('list, tags and the changes of a tag are the same on each node', async () => {
    for (const index of [0, 1, 2]) {
      const [{ path: name, tags }] = JSON.parse(await run(index, 'hosted', 'list', '--json')).repositories;
      assert.deepEqual([name, tags], [REPOSITORY, 2]);
      assert.match(await run(index, 'hosted', 'list'), /acme-internal\/\*\*: .+ of 1\.0 GiB/);
      const listed = JSON.parse(await run(index, 'hosted', 'tags', REPOSITORY, '--json'));
      assert.equal(listed.find(({ tag }: { tag: string }) => tag === 'latest').digest, second);
      const history = JSON.parse(await run(index, 'hosted', 'tags', `${REPOSITORY}:latest`, '--json'));
      assert.deepEqual(
        history.map(({ digest }: { digest: string }) => digest),
        [second, first],
      );
    }
  });

  test('a tag that is restored on one node has its digest on all, and the audit log of that node says so', async () => {
    assert.match(await run(2, 'hosted', 'restore-tag', `${REPOSITORY}:latest`), new RegExp(first));
    for (const index of [0, 1, 2])
      assert.equal((await pull(index, 'latest')).headers['docker-content-digest'], first);
    const line = await run(2, 'audit', '--subject', 'operator', '--json');
    assert.match(line, /"action":"push".*"tag":"latest"/);
    assert.match(line, /"node":"n3"/);
  });

  test('what is deleted on one node is gone on all, and an immutable tag needs force', async () => {
    assert.match(await refused(1, 'hosted', 'delete', `${REPOSITORY}:v1`), /--force/);
    assert.equal((await pull(0, 'v1')).status, 200);
    await run(1, 'hosted', 'delete', `${REPOSITORY}:v1`, '--force');
    for (const index of [0, 1, 2]) assert.equal((await pull(index, 'v1')).status, 404);
    assert.match(await refused(2, 'hosted', 'delete', `${REPOSITORY}:v1`), /there is no/);
    assert.match(await run(0, 'hosted', 'restore-tag', `${REPOSITORY}:v1`), /again/);
    assert.equal((await pull(2, 'v1')).status, 200);
  });

  test('gc works on a node that is not on duty, and says what it keeps', async () => {
    await run(0, 'hosted', 'delete', `${REPOSITORY}@${second}`, '--force');
    for (const index of [0, 1, 2]) {
      const kept = JSON.parse(await run(index, 'hosted', 'gc', '--dry-run', '--json'));
      assert.ok(kept.length > 0 && kept.every(({ action }: { action: string }) => action !== 'remove-blob'));
      await run(index, 'hosted', 'gc');
    }
    assert.equal((await pull(1, 'latest')).status, 200);
  });

  test('verify reads every object, and names the one that the store has lost', async () => {
    assert.match(await run(1, 'hosted', 'verify'), /all are whole/);
    const key = cluster.server
      .run('SELECT object FROM hubgate.hosted_content ORDER BY size DESC LIMIT 1', cluster.database)
      .trim();
    await rm(path.join(s3.bucket ?? assert.fail(), key));
    const said = await refused(2, 'hosted', 'verify');
    assert.ok(said.includes(`its object ${key} is missing`), said);
    assert.match(said, /damaged: 1/);
  });

  test('backup and restore say what to do instead', async () => {
    const directory = path.join(cluster.node(0).home, 'copy');
    for (const verb of ['backup', 'restore']) {
      const said = await refused(0, 'hosted', verb, directory);
      assert.match(said, /belong to the cluster/);
      assert.match(said, /hubgate cluster backup/);
    }
    assert.match(await run(0, 'cluster', 'backup'), /hosted\//);
  });

  test('a purge says that the other nodes remove the content too, and the status of the cluster when they have', async () => {
    const image = upstreamImage({ size: 1000 });
    cluster.hub.push('acme/app', 'latest', image);
    for (const node of cluster.nodes) {
      const target = `/v2/acme/app/manifests/${image.digest}`;
      assert.equal((await node.ask(target, { headers: LOGIN })).status, 200);
    }
    const said = await run(1, 'cache', 'purge', 'acme/app');
    assert.match(said, /the other nodes of the cluster \(2\) remove it from their disks too/);
    await waitFor(async () => {
      const { nodes } = JSON.parse(await run(0, 'cluster', 'status', '--json'));
      return nodes.every(({ pendingPurges }: { pendingPurges: number }) => pendingPurges === 0);
    });
    assert.match(await run(0, 'cluster', 'status'), /PURGES/);
  });

  test('what a client has copied from a home that works alone is not copied again by its import', {
    skip: spawnSync('skopeo', ['--version']).status === 0 ? false : 'skopeo is not installed',
  }, async () => {
    await using alone = await RunningMirror.start({ policy: POLICY, config: HOSTED });
    const added = await alone.runWith(`${PASSWORD}\n`, 'user', 'add', 'zoe', '--password-stdin');
    assert.equal(added.code, 0, added.output);
    const from = { node: alone, repository: 'acme-internal/old' };
    await waitFor(async () => (await write(from, 'POST', 'blobs/uploads/')).status === 202);
    const digest = await pushTo(from, '1.0');
    const place = ({ port }: RunningMirror) => `docker://localhost:${port}/acme-internal/old:1.0`;
    // The nodes name mirror.corp as their token service, which is nowhere here.
    const scope = 'repository:acme-internal/old:pull,push';
    const granted = await cluster
      .node(1)
      .ask(`/token?service=mirror.corp&scope=${scope}`, { headers: LOGIN });
    const { token } = JSON.parse(granted.body.toString());
    const copy = [
      ...['copy', '--all', '--preserve-digests', '--src-tls-verify=false', '--dest-tls-verify=false'],
      ...['--src-creds', `zoe:${PASSWORD}`, '--dest-registry-token', token],
      ...[place(alone), place(cluster.node(1))],
    ];
    // The second time everything is there.
    for (let time = 0; time < 2; time++) {
      const child = spawn('skopeo', copy, { stdio: ['ignore', 'ignore', 'pipe'] });
      const said = text(child.stderr);
      const [code] = await once(child, 'exit');
      assert.equal(code, 0, await said);
    }
    for (const node of cluster.nodes) {
      const pulled = await node.ask('/v2/acme-internal/old/manifests/1.0', { headers: LOGIN });
      assert.equal(pulled.headers['docker-content-digest'], digest);
    }
    assert.equal(await alone.stop(), 0);
    const section = `cluster:
  database: ${cluster.database}
  node: n4
  listen: "127.0.0.1:1"
  objects:
    endpoint: ${s3.endpoint}
    bucket: ${BUCKET}
    accessKeyFile: ${s3.accessKeyFile}
    secretKeyFile: ${s3.secretKeyFile}
`;
    const file = path.join(alone.home, 'config/hubgate.yaml');
    await writeFile(file, `server: { url: "https://mirror.corp" }\n${HOSTED}${section}`, { mode: 0o600 });
    const { code, output } = await alone.run('cluster', 'import');
    assert.equal(code, 0, output);
    assert.match(output, /hosted: 0 manifests, 0 blobs and 0 tags are new in the cluster, and 0 are left/);
  });

  test('the verbs of a node whose database is away say so', async () => {
    await cluster.server.stop();
    try {
      for (const args of [
        ['list'],
        ['tags', REPOSITORY],
        ['gc'],
        ['verify'],
        ['restore-tag', `${REPOSITORY}:latest`],
        ['delete', `${REPOSITORY}:latest`],
      ])
        assert.match(await refused(0, 'hosted', ...args), /the database of the cluster/, args.join(' '));
      assert.match(await refused(0, 'cache', 'purge', 'acme/app'), /the database of the cluster/);
    } finally {
      await cluster.server.start();
    }
    await waitFor(async () => (await cluster.node(0).run('hosted', 'list')).code === 0);
  });
});
