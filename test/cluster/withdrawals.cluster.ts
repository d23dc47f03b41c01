/** What one node withdraws while others answer, write late, or cannot write. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { Copies } from '../../src/cluster/copies.ts';
import { openClusterDatabase } from '../../src/cluster/database.ts';
import { ClusterIndex } from '../../src/core/store/cluster-index.ts';
import { openSqliteIndex } from '../../src/core/store/sqlite-index.ts';
import { DatabaseUnavailable } from '../../src/platform/database-unavailable.ts';
import type { PostgresQueries } from '../../src/platform/postgres.ts';
import type { Digest } from '../../src/registry/digest.ts';
import type { ManifestMediaType } from '../../src/registry/media-type.ts';
import type { Tag } from '../../src/registry/reference.ts';
import type { RepositoryName } from '../../src/registry/repository.ts';
import { QUIET } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { startPostgres } from './support/postgres-server.ts';
import { PATIENT_CLUSTER } from './support/test-cluster.ts';

const REPOSITORY = 'docker.io/acme/app' as RepositoryName;
const DIGEST = `sha256:${'1'.repeat(64)}` as Digest;
const OTHER = `sha256:${'2'.repeat(64)}` as Digest;
const LATEST = 'latest' as Tag;
const MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json' as ManifestMediaType;
const PUBLIC_LINK = { kind: 'blob', public: true, checkedAt: 1 } as const;

const server = await startPostgres();
after(() => server[Symbol.asyncDispose]());

/** The index of one node. Its messages arrive always, and its queries as the test says. */
class Node {
  readonly index: ClusterIndex;
  isAway = false;
  /** What the next change waits for after it is made. */
  late: Promise<void> | undefined;

  static async open(url: string, name: string, stack: AsyncDisposableStack): Promise<Node> {
    const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-index-'));
    stack.defer(() => rm(directory, { recursive: true }));
    const limits = PATIENT_CLUSTER;
    const { database, notifications } = stack.use(
      await openClusterDatabase({ url, application: name, log: QUIET, limits }),
    );
    const node = new Node(database, (queries) => {
      const copies = new Copies({ database, node: name, log: QUIET });
      const local = openSqliteIndex(path.join(directory, 'index.db'), QUIET);
      return new ClusterIndex({
        ...{ local, database: queries, notifications, copies, onDatabaseLoss: 'serve', log: QUIET },
      });
    });
    stack.use(node.index);
    return node;
  }

  private constructor(database: PostgresQueries, open: (queries: PostgresQueries) => ClusterIndex) {
    const reach = () => {
      if (this.isAway) throw new DatabaseUnavailable(new Error('Query read timeout'));
    };
    this.index = open({
      rows: async (sql, values) => {
        reach();
        return database.rows(sql, values);
      },
      change: async (sql, values) => {
        reach();
        const changed = await database.change(sql, values);
        if (sql.startsWith('UPDATE hubgate.repository')) await this.late;
        return changed;
      },
    });
  }
}

let stack: AsyncDisposableStack;
let one: Node;
let two: Node;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const url = await server.database();
  one = await Node.open(url, 'n1', stack);
  two = await Node.open(url, 'n2', stack);
});

afterEach(() => stack.disposeAsync());

async function makePublic(): Promise<void> {
  await one.index.putVisibility(REPOSITORY, { visibility: 'public', checkedAt: 1 });
  await one.index.putLink(REPOSITORY, DIGEST, PUBLIC_LINK);
}

async function visibilityAt(node: Node): Promise<string | undefined> {
  return (await node.index.visibility(REPOSITORY))?.visibility;
}

test('what a node could not withdraw once is withdrawn soon, though no message was lost', async () => {
  await makePublic();
  assert.equal(await visibilityAt(two), 'public');
  one.isAway = true;
  await one.index.putVisibility(REPOSITORY, { visibility: 'private', checkedAt: 2 });
  await one.index.removeLink(REPOSITORY, DIGEST);
  one.isAway = false;
  await waitFor(async () => (await visibilityAt(two)) === 'private');
  await waitFor(async () => (await two.index.link(REPOSITORY, 'blob', DIGEST)) === undefined);
});

test('new knowledge of a repository makes nothing public that could not be withdrawn', async () => {
  await makePublic();
  one.isAway = true;
  await one.index.putVisibility(REPOSITORY, { visibility: 'private', checkedAt: 2 });
  await one.index.putLink(REPOSITORY, OTHER, { kind: 'blob', public: false, checkedAt: 2 });
  one.isAway = false;
  assert.notEqual(await visibilityAt(one), 'public');
  await one.index.putLink(REPOSITORY, OTHER, { kind: 'blob', public: false, checkedAt: 2 });
  assert.equal(await visibilityAt(one), 'private');
  assert.equal(await visibilityAt(two), 'private');
});

test('what a node could not store it does not remember, because nobody would tell it of a withdrawal', async () => {
  one.isAway = true;
  await makePublic();
  one.isAway = false;
  await two.index.putVisibility(REPOSITORY, { visibility: 'private', checkedAt: 2 });
  assert.notEqual(await visibilityAt(one), 'public');
  assert.equal(await one.index.link(REPOSITORY, 'blob', DIGEST), undefined);
});

test('a visibility that another node withdraws during the write is not remembered', async () => {
  const written = Promise.withResolvers<void>();
  one.late = written.promise;
  const putting = one.index.putVisibility(REPOSITORY, { visibility: 'public', checkedAt: 1 });
  await waitFor(async () => (await visibilityAt(two)) === 'public');
  const { current } = one.index.invalidations;
  await two.index.putVisibility(REPOSITORY, { visibility: 'private', checkedAt: 2 });
  await waitFor(() => one.index.invalidations.current > current);
  written.resolve();
  await putting;
  assert.equal(await visibilityAt(one), 'private');
});

test('an older answer makes no repository public again', async () => {
  await makePublic();
  await two.index.putVisibility(REPOSITORY, { visibility: 'private', checkedAt: 3 });
  await one.index.putVisibility(REPOSITORY, { visibility: 'public', checkedAt: 2 });
  assert.equal(await visibilityAt(one), 'private');
  assert.equal(await visibilityAt(two), 'private');
});

test('a node does not remember a tag that is older than the one that is stored', async () => {
  const entry = { mediaType: MEDIA_TYPE, size: 1, public: true };
  await two.index.putTag(REPOSITORY, LATEST, { ...entry, digest: OTHER, checkedAt: 2 });
  await one.index.putTag(REPOSITORY, LATEST, { ...entry, digest: DIGEST, checkedAt: 1 });
  assert.equal((await one.index.tag(REPOSITORY, LATEST))?.digest, OTHER);
});
