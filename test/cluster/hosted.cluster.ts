/**
 * The database of the hosted repositories in PostgreSQL, and what happens to it when a node or the server
 * fails.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { after, test } from 'node:test';
import { openClusterDatabase } from '../../src/cluster/database.ts';
import { Leases } from '../../src/cluster/leases.ts';
import { Nodes } from '../../src/cluster/nodes.ts';
import { LeasedDuty } from '../../src/core/cluster/leased-duty.ts';
import { HostedUnavailable } from '../../src/core/hosted/hosted-database.ts';
import { PostgresHostedDatabase } from '../../src/core/hosted/postgres-hosted-database.ts';
import { Postgres } from '../../src/platform/postgres.ts';
import { testHostedDatabase } from '../core/hosted/hosted-database.contract.ts';
import { QUIET } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { startPostgres } from './support/postgres-server.ts';
import { PATIENT_CLUSTER } from './support/test-cluster.ts';

const FROZEN = path.join(import.meta.dirname, 'support/fixtures/frozen-change.ts');

const server = await startPostgres();
after(() => server[Symbol.asyncDispose]());

async function connect(stack: AsyncDisposableStack, url: string): Promise<PostgresHostedDatabase> {
  const { database } = stack.use(await openClusterDatabase({ url, application: 'test', log: QUIET }));
  return new PostgresHostedDatabase(database);
}

// A server recovers faster while it has few databases, so this comes first.
test('while the database is away, reads and changes are unavailable, and a change that was repeated is there', async () => {
  await using stack = new AsyncDisposableStack();
  const database = await connect(stack, await server.database());
  const add = () => database.change(({ change }) => change.addRepository.run('acme/app'));
  const find = () => database.read((select) => select.repositories.all('', 10));
  await server.stop();
  await assert.rejects(add(), HostedUnavailable);
  await assert.rejects(find(), HostedUnavailable);
  await server.start();
  await add();
  assert.equal(await add(), 0);
  assert.equal((await find()).length, 1);
});

test('a change whose connection ends before its commit is answered is unavailable', async () => {
  await using stack = new AsyncDisposableStack();
  const url = await server.database();
  const database = await connect(stack, url);
  // Those that come while this one is committed are committed together.
  const first = database.change(({ change }) => change.addRepository.run('acme/first'));
  const changed = database.change(function* ({ change }) {
    yield* change.addRepository.run('acme/app');
    server.run(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND xact_start IS NOT NULL`,
      url,
    );
    yield* change.addRepository.run('acme/other');
  });
  const beside = database.change(({ change }) => change.addRepository.run('acme/beside'));
  await first;
  const settled = await Promise.allSettled([changed, beside]);
  for (const one of settled) {
    assert.equal(one.status, 'rejected');
    assert.ok(one.reason instanceof HostedUnavailable);
  }
  const rows = await database.read((select) => select.repositories.all('', 10));
  assert.deepEqual(
    rows.map((row) => row.path),
    ['acme/first'],
  );
});

test('the database ends the change of a node that is frozen, and the other nodes go on', async () => {
  await using stack = new AsyncDisposableStack();
  const url = await server.database();
  const database = await connect(stack, url);
  const frozen = spawn(process.execPath, [FROZEN, url], { stdio: ['ignore', 'pipe', 'inherit'] });
  stack.defer(() => void frozen.kill('SIGKILL'));
  // It holds the lock from now on, and does nothing.
  await once(frozen.stdout, 'data');
  const add = () => database.change(({ change }) => change.addRepository.run('acme/app'));
  await waitFor(async () => (await Promise.allSettled([add()]))[0]?.status === 'fulfilled');
  const rows = await database.read((select) => select.repositories.all('', 10));
  assert.deepEqual(
    rows.map((row) => row.path),
    ['acme/app'],
  );
});

async function joinDuty(stack: AsyncDisposableStack, url: string, id: string): Promise<LeasedDuty> {
  const database = stack.use(new Postgres({ url, application: id, connections: 2, deadline: 10_000 }));
  const options = { database, limits: PATIENT_CLUSTER, log: QUIET };
  const own = { id, address: '127.0.0.1:1', certificate: '', version: '0' };
  const nodes = stack.use(await Nodes.join({ own, ...options }));
  return stack.use(new LeasedDuty(new Leases({ nodes, ...options })));
}

test('one node at a time is on duty, and another takes over when it ends or has lost the duty', async () => {
  await using stack = new AsyncDisposableStack();
  const url = await server.database();
  await connect(stack, url);
  const [first, second] = [await joinDuty(stack, url, 'n1'), await joinDuty(stack, url, 'n2')];
  const [taken, again] = await Promise.all([first.take(), first.take()]);
  assert.ok(taken !== undefined && taken === again && taken === (await first.take()));
  assert.equal(await second.take(), undefined);
  await first[Symbol.asyncDispose]();
  const next = await second.take();
  assert.ok(next !== undefined);
  assert.equal(await first.take(), undefined);
  const lost = once(next, 'abort');
  server.run("DELETE FROM hubgate.download WHERE digest = 'duty hosted'", url);
  await lost;
  assert.ok((await first.take()) !== undefined);
  assert.equal(await second.take(), undefined);
});

testHostedDatabase('PostgreSQL', async () => {
  const url = await server.database();
  const stack = new AsyncDisposableStack();
  const database = await connect(stack, url);
  const other = await connect(stack, url);
  return { database, other, [Symbol.asyncDispose]: () => stack.disposeAsync() };
});
