/** What is removed from the object store, and what never is. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, beforeEach, suite, test } from 'node:test';
import { Leases } from '../../src/cluster/leases.ts';
import { Nodes } from '../../src/cluster/nodes.ts';
import { hostedObjectKey, objectKey, ownerKey } from '../../src/cluster/objects/object-key.ts';
import type { ObjectStore } from '../../src/cluster/objects/object-store.ts';
import { StoredObjects } from '../../src/cluster/objects/stored-objects.ts';
import { migrateCluster } from '../../src/cluster/schema.ts';
import { OBJECT_DUTY, type ObjectDutyLimits } from '../../src/core/cluster/limits.ts';
import { runObjectDuty } from '../../src/core/cluster/objects/object-duty.ts';
import { Postgres } from '../../src/platform/postgres.ts';
import { type Digest, sha256Of } from '../../src/registry/digest.ts';
import { QUIET } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ObjectServer, startVersity, whyNoServer } from './support/object-servers.ts';
import { type PostgresServer, startPostgres } from './support/postgres-server.ts';
import { PATIENT_CLUSTER } from './support/test-cluster.ts';

const DAY = 86_400_000;
const patience = () => AbortSignal.timeout(60_000);

suite('the removal of objects', { skip: await whyNoServer('versitygw') }, () => {
  const stack = new AsyncDisposableStack();
  let server: PostgresServer;
  let s3: ObjectServer;
  let store: ObjectStore;
  let url: string;
  let objects: StoredObjects;
  let leases: Leases;
  let prefix = 'p0';

  before(async () => {
    server = stack.use(await startPostgres());
    s3 = stack.use(await startVersity());
    store = stack.use(s3.client({ probe: 60_000 }));
  });

  beforeEach(async () => {
    url = await server.database();
    prefix = `p${Number(prefix.slice(1)) + 1}`;
    const database = stack.use(new Postgres({ url, application: 'test', connections: 4, deadline: 10_000 }));
    await migrateCluster(database);
    const own = { id: 'n1', address: 'a:1', certificate: 'c', version: '1' };
    const options = { database, limits: PATIENT_CLUSTER, log: QUIET };
    const nodes = stack.use(await Nodes.join({ own, ...options }));
    leases = new Leases({ nodes, ...options });
    objects = new StoredObjects(database);
  });

  after(() => stack.disposeAsync());

  async function put(key: string): Promise<void> {
    const open = async () => Readable.from([Buffer.from('x')], { objectMode: false });
    assert.equal((await store.put(key, { size: 1, open }, patience())).kind, 'ok');
  }

  /** Puts an object and its row. */
  async function publish(): Promise<{ readonly digest: Digest; readonly key: string }> {
    const digest = sha256Of(randomBytes(8));
    const taken = await leases.take(`upload ${digest}`);
    assert.ok(taken.kind === 'held');
    const key = objectKey(prefix, digest, taken.fence);
    await put(key);
    const row = { digest, key, size: 1, lease: `upload ${digest}`, fence: taken.fence };
    assert.equal(await objects.publish({ ...row, fence: taken.fence - 1 }), false);
    assert.equal(await objects.publish(row), true);
    // A lease counts once.
    assert.equal(await objects.publish({ ...row, digest: sha256Of(randomBytes(8)) }), false);
    return { digest, key };
  }

  async function isThere(key: string): Promise<boolean> {
    const answer = await store.size(key, patience());
    assert.ok(answer.kind === 'ok');
    return answer.value !== undefined;
  }

  function run(limits: Partial<ObjectDutyLimits>): AsyncDisposable {
    const all = { ...OBJECT_DUTY, every: 20, ...limits };
    return runObjectDuty({ store, objects, leases, prefix, unusedFor: DAY, limits: all, log: QUIET });
  }

  test('an unused object goes, its row before it, and a used one stays', async () => {
    const [unused, used] = [await publish(), await publish()];
    const age = `UPDATE hubgate.object SET used_at = now() - interval '25 hours' WHERE key = '${unused.key}'`;
    server.run(age, url);
    {
      await using _ = run({ keepRemoved: DAY });
      await waitFor(async () => (await objects.find(unused.digest)) === undefined);
    }
    // A node may still read it.
    assert.equal(await isThere(unused.key), true);
    await using _ = run({ keepRemoved: 0 });
    await waitFor(async () => !(await isThere(unused.key)));
    assert.equal((await objects.find(used.digest))?.key, used.key);
    assert.equal(await isThere(used.key), true);
  });

  test('an object that no row names goes, and nothing that is not ours', async () => {
    const used = await publish();
    const orphan = objectKey(prefix, sha256Of(randomBytes(8)), 1);
    const hosted = () => hostedObjectKey(prefix, sha256Of(randomBytes(8)), randomBytes(16).toString('hex'));
    const [unnamed, named] = [hosted(), hosted()];
    server.run(`INSERT INTO hubgate.hosted_content (digest, size, object) VALUES ('d', 1, '${named}')`, url);
    const others = [
      ...[`${prefix}/blobs/notes.txt`, `${prefix}x/blobs/sha256/aa/other.1`],
      ...[`${prefix}/hosted/notes.txt`, named],
    ];
    for (const key of [orphan, unnamed, ...others]) await put(key);
    await using _ = run({ orphansAfter: -DAY, sweepEvery: 0 });
    await waitFor(async () => !(await isThere(orphan)) && !(await isThere(unnamed)));
    for (const key of [used.key, ...others]) assert.equal(await isThere(key), true, key);
  });

  test('a young object without a row stays, because its node may be about to make the row', async () => {
    const young = objectKey(prefix, sha256Of(randomBytes(8)), 1);
    await put(young);
    {
      await using _ = run({ sweepEvery: 0 });
      const sweptAt = () => server.run('SELECT swept_at FROM hubgate.object_store', url).trim();
      await waitFor(() => sweptAt() !== '');
      const first = sweptAt();
      // When the next sweep begins, one has ended.
      await waitFor(() => sweptAt() !== first);
    }
    assert.equal(await isThere(young), true);
  });

  test('nothing is removed from the store of another cluster', async () => {
    const foreign = objectKey(prefix, sha256Of(randomBytes(8)), 1);
    for (const key of [ownerKey(prefix), foreign]) await put(key);
    {
      await using _ = run({ orphansAfter: -DAY, sweepEvery: 0 });
      await waitFor(() => server.run('SELECT count(*) FROM hubgate.object_store', url).trim() === '1');
    }
    assert.equal(await isThere(foreign), true);
    assert.equal(
      server.run('SELECT count(*) FROM hubgate.object_store WHERE swept_at IS NOT NULL', url),
      '0\n',
    );
  });
});
