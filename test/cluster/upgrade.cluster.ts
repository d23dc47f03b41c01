/** The tables of a cluster are changed while its nodes serve, and nodes of two releases run side by side. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CLUSTER_SCHEMA, migrateCluster } from '../../src/cluster/schema.ts';
import { readClusterStatus } from '../../src/cluster/status.ts';
import { Postgres } from '../../src/platform/postgres.ts';
import { imageOf } from '../support/image.ts';
import type { RunningMirror } from '../support/running-mirror.ts';
import { waitFor } from '../support/wait-for.ts';
import { addAsLaterRelease } from './support/later-release.ts';
import { pullFrom, TestNodes } from './support/test-nodes.ts';

const CLIENTS = 4;
const PULL = 'acme/app/manifests/latest';

let cluster: TestNodes;

before(async () => {
  cluster = await TestNodes.start();
  cluster.hub.push('acme/app', 'latest', imageOf());
  await cluster.add('zoe');
});

after(() => cluster[Symbol.asyncDispose]());

async function withDatabase<T>(url: string, use: (database: Postgres) => Promise<T>): Promise<T> {
  await using database = new Postgres({ url, application: 'test', connections: 4, deadline: 10_000 });
  return await use(database);
}

function versions(database: Postgres): Promise<readonly { readonly version: number }[]> {
  return database.rows('SELECT version FROM hubgate.schema_version ORDER BY version');
}

/** Pulls all the time, each time from a node that is ready, as a client behind a balancer does. */
class Client {
  readonly failures: string[] = [];
  pulls = 0;
  readonly #token: string;
  #hasEnded = false;

  constructor(token: string) {
    this.#token = token;
  }

  async run(): Promise<void> {
    for (let turn = 0; !this.#hasEnded; turn++) {
      const node = await readyNode(turn);
      const result = await pullFrom(node, this.#token, PULL).then(
        ({ status }) => String(status),
        (error: Error) => error.message,
      );
      if (result !== '200') this.failures.push(result);
      this.pulls++;
    }
  }

  end(): void {
    this.#hasEnded = true;
  }
}

async function readyNode(first: number): Promise<RunningMirror> {
  for (let turn = first; ; turn++) {
    const node = cluster.node(turn % cluster.nodes.length);
    if (await isReady(node)) return node;
  }
}

function isReady(node: RunningMirror): Promise<boolean> {
  return node.admin('/readyz').then(
    ({ status }) => status === 200,
    () => false,
  );
}

/** Waits until no client uses a node that it has found ready before. */
async function untilAllHavePulledAgain(clients: readonly Client[]): Promise<void> {
  const before = clients.map(({ pulls }) => pulls);
  await waitFor(() => clients.every(({ pulls }, index) => pulls >= (before[index] ?? 0) + 2));
}

test('nodes that make the tables at the same time make them once', async () => {
  const url = await cluster.server.database();
  const migrate = () => withDatabase(url, migrateCluster);
  await Promise.all([migrate(), migrate(), migrate()]);
  const rows = await withDatabase(url, versions);
  assert.deepEqual(
    rows.map(({ version }) => version),
    Array.from({ length: CLUSTER_SCHEMA }, (_, index) => index + 1),
  );
});

test('a node that is two releases behind says so, and changes nothing', async () => {
  const url = await cluster.server.database();
  await withDatabase(url, async (database) => {
    await migrateCluster(database);
    await database.change('INSERT INTO hubgate.schema_version (version) VALUES ($1)', [CLUSTER_SCHEMA + 2]);
    await assert.rejects(migrateCluster(database), /install the release that the other nodes have/);
    assert.equal((await versions(database)).length, CLUSTER_SCHEMA + 1);
  });
});

test('the status of a cluster can be read before a node of this release has made its tables', async () => {
  const url = await cluster.server.database();
  await withDatabase(url, async (database) => {
    assert.deepEqual((await readClusterStatus(database)).nodes, []);
    await migrateCluster(database);
    await database.change(
      `INSERT INTO hubgate.node (id, run, address, certificate, version) VALUES ('n1', 'r', 'a:1', 'c', '0.1.0')`,
    );
    // These are the tables of the release before the object store and the purges.
    for (const table of ['object', 'removed_object', 'object_store', 'purge'])
      await database.change(`DROP TABLE hubgate.${table} CASCADE`);
    await database.change('ALTER TABLE hubgate.node DROP COLUMN pending_uploads');
    await database.change('DELETE FROM hubgate.schema_version WHERE version > 2');
    const { schema, nodes, objects } = await readClusterStatus(database);
    assert.equal(schema, 2);
    assert.deepEqual(
      nodes.map(({ id, pendingUploads, pendingPurges }) => ({ id, pendingUploads, pendingPurges })),
      [{ id: 'n1', pendingUploads: 0, pendingPurges: 0 }],
    );
    assert.deepEqual(objects, { count: 0, bytes: 0 });
  });
});

test('no pull fails while the tables of a later release come and the nodes start again one by one', async () => {
  const token = await cluster.login(0, 'zoe');
  const clients = Array.from({ length: CLIENTS }, () => new Client(token));
  const running = clients.map((client) => client.run());
  try {
    await withDatabase(cluster.database, addAsLaterRelease);
    for (const node of cluster.nodes) {
      const drained = await node.run('cluster', 'drain');
      assert.equal(drained.code, 0, drained.output);
      await waitFor(async () => !(await isReady(node)));
      await untilAllHavePulledAgain(clients);
      await node.stop();
      await node.startAgain();
      await waitFor(() => isReady(node));
      await untilAllHavePulledAgain(clients);
    }
  } finally {
    for (const client of clients) client.end();
    await Promise.all(running);
  }
  assert.deepEqual(
    clients.flatMap(({ failures }) => failures),
    [],
  );
});

test('this release writes to the tables of the later one', async () => {
  await cluster.add('ada', 1);
  await cluster.login(2, 'ada');
  const made = await cluster.node(0).run('token', 'create', 'ada', '--expires', '1d', '--json');
  assert.equal(made.code, 0, made.output);
  cluster.hub.push('acme/new', 'latest', imageOf());
  const token = await cluster.login(1, 'ada', 'acme/new');
  for (const node of cluster.nodes)
    assert.equal((await pullFrom(node, token, 'acme/new/manifests/latest')).status, 200);
});
