/** What three real nodes keep of pushes when the node that takes them is killed. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Postgres } from '../../src/platform/postgres.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { digestOf } from '../support/hosted-core.ts';
import type { TestResponse } from '../support/http.ts';
import { waitFor } from '../support/wait-for.ts';
import { BUCKET, type ObjectServer, startVersity, whyNoServer } from './support/object-servers.ts';
import { PASSWORD, TestNodes } from './support/test-nodes.ts';

const RULES = `version: 1
allow:
  - { id: ci, push: acme-internal/**, to: zoe }
...
`;
const HOSTED = 'hosted: { namespaces: { "acme-internal/**": {} } }\n';
const REPOSITORY = '/v2/acme-internal/app';
const LOGIN = { authorization: `Basic ${Buffer.from(`zoe:${PASSWORD}`).toString('base64')}` };
/** The lock that the changes of all nodes hold, see postgres-hosted-database.ts. */
const CHANGE_LOCK = 7_143_921;

suite('three nodes that host repositories', { skip: await whyNoServer('versitygw') }, () => {
  let s3: ObjectServer;
  let cluster: TestNodes;

  before(async () => {
    s3 = await startVersity();
    cluster = await TestNodes.start(
      {
        HUBGATE_CLUSTER_OBJECTS_ENDPOINT: s3.endpoint,
        HUBGATE_CLUSTER_OBJECTS_BUCKET: BUCKET,
        HUBGATE_CLUSTER_OBJECTS_ACCESS_KEY_FILE: s3.accessKeyFile,
        HUBGATE_CLUSTER_OBJECTS_SECRET_KEY_FILE: s3.secretKeyFile,
      },
      RULES,
      HOSTED,
    );
    await cluster.add('zoe');
    for (const index of [0, 1, 2]) await waitFor(async () => (await begin(index)).status === 202);
  });

  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  function begin(index: number): Promise<TestResponse> {
    const headers = { ...LOGIN, 'content-length': '0' };
    return cluster.node(index).ask(`${REPOSITORY}/blobs/uploads/`, { method: 'POST', headers });
  }

  /** Sends a blob in one request. */
  async function put(index: number, bytes: Buffer): Promise<TestResponse> {
    const { status, headers, body } = await begin(index);
    assert.equal(status, 202, body.toString());
    return cluster.node(index).ask(`${String(headers.location)}?digest=${digestOf(bytes)}`, {
      ...{ method: 'PUT', send: bytes },
      headers: {
        ...LOGIN,
        'content-length': String(bytes.length),
        'content-type': 'application/octet-stream',
      },
    });
  }

  async function push(index: number, bytes: Buffer): Promise<void> {
    await waitFor(async () => (await put(index, bytes).catch(() => undefined))?.status === 201);
  }

  async function assertPulled(index: number, bytes: Buffer): Promise<void> {
    await waitFor(async () => {
      const of = `${REPOSITORY}/blobs/${digestOf(bytes)}`;
      const answer = await cluster
        .node(index)
        .ask(of, { headers: LOGIN })
        .catch(() => undefined);
      if (answer?.status !== 200) return false;
      assertBytes(answer.body, bytes);
      return true;
    });
  }

  async function kill(index: number): Promise<void> {
    const [pid] = await cluster.node(index).pids('core');
    process.kill(pid ?? assert.fail(), 'SIGKILL');
  }

  function row(bytes: Buffer): string {
    const named = `SELECT object FROM hubgate.hosted_content WHERE digest = '${digestOf(bytes)}'`;
    return cluster.server.run(named, cluster.database).trim();
  }

  /** Lists the files below a directory of the bucket whose paths have these words. */
  async function filesOf(directory: string, words = ''): Promise<readonly string[]> {
    const root = path.join(s3.bucket ?? assert.fail(), directory);
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    const files = entries.filter((entry) => entry.isFile());
    return files
      .map(({ parentPath, name }) => path.join(parentPath, name))
      .filter((file) => file.includes(words));
  }

  test('a core that is killed between the object and its row has published nothing, and the push is repeated', async () => {
    const bytes = randomBytes(1_000_000);
    const hex = digestOf(bytes).slice('sha256:'.length);
    await using locks = new Postgres({
      url: cluster.database,
      application: 'test',
      connections: 1,
      deadline: 60_000,
    });
    const [locked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const holding = locks.transaction(async (queries) => {
      await queries.rows('SELECT pg_advisory_xact_lock($1)', [CHANGE_LOCK]);
      locked.resolve();
      await released.promise;
    });
    await locked.promise;
    const answered = put(0, bytes).catch(() => undefined);
    await waitFor(async () => (await filesOf('hosted', hex)).length === 1);
    await kill(0);
    released.resolve();
    await holding;
    assert.notEqual((await answered)?.status, 201);
    // What the dead core has sent to the database is over, because its connections are.
    await waitFor(() => {
      const of =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hubgate core n1' AND state <> 'idle'";
      return Number(cluster.server.run(of)) === 0;
    });
    assert.equal(row(bytes), '');
    await push(1, bytes);
    const [first, second] = await filesOf('hosted', hex);
    assert.ok(first !== undefined && second !== undefined, 'the objects are not two');
    assert.ok(
      [first, second].some((file) => file.endsWith(row(bytes))),
      row(bytes),
    );
    for (const index of [1, 2, 0]) await assertPulled(index, bytes);
  });

  test('a core that is killed in the middle of an upload of parts has published nothing', async () => {
    const bytes = randomBytes(70 * 2 ** 20);
    const hex = digestOf(bytes).slice('sha256:'.length);
    const answered = put(0, bytes).catch(() => undefined);
    await waitFor(async () => (await filesOf('.sgwtmp')).length > 0);
    s3.signal('SIGSTOP');
    try {
      await kill(0);
    } finally {
      s3.signal('SIGCONT');
    }
    assert.notEqual((await answered)?.status, 201);
    assert.equal(row(bytes), '');
    assert.deepEqual(await filesOf('hosted', hex), []);
    await push(1, bytes);
    await assertPulled(2, bytes);
  });
});
