/** The doctor of a node, with a real database. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CLUSTER_SCHEMA } from '../../src/cluster/schema.ts';
import { type Finding, runAll } from '../../src/commands/doctor/checks.ts';
import { clusterChecks } from '../../src/commands/doctor/server/cluster.ts';
import { pathsIn } from '../../src/config/home.ts';
import { type Clock, systemClock } from '../../src/platform/clock.ts';
import { Postgres } from '../../src/platform/postgres.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { freePort } from '../support/free-port.ts';
import { type PostgresServer, startPostgres } from './support/postgres-server.ts';
import { startNode } from './support/test-cluster.ts';

let server: PostgresServer;
let home: string;

before(async () => {
  server = await startPostgres();
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-doctor-'));
  await mkdir(path.join(home, 'config'));
});

after(async () => {
  await server[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

/** Returns what the doctor of the node n1 finds. */
async function examine(database: string, clock: Clock = systemClock): Promise<readonly Finding[]> {
  const cluster = { database, node: 'n1', listen: { port: 9443 }, onDatabaseLoss: 'serve' } as const;
  const checked = await runAll(clusterChecks({ paths: pathsIn(home), cluster, clock }));
  return checked.flatMap((one) => ('findings' in one ? one.findings : []));
}

function textOf(found: readonly Finding[]): string {
  return found.map(({ where, what, mend }) => `${where} ${what}: ${mend}`).join('\n');
}

test('the doctor finds nothing wrong with two nodes that reach one another', async () => {
  await using hub = await FakeHub.start();
  const database = await server.database();
  await using _one = await startNode(hub, database, 'n1');
  await using _other = await startNode(hub, database, 'n2');
  assert.equal(textOf(await examine(database)), '');
});

test('the doctor says what is wrong with the database: its name, its tables, its clock', async () => {
  const database = await server.database();
  assert.match(textOf(await examine(`${database}x`)), /does not exist: make the database/);
  assert.match(textOf(await examine(database)), /has no tables of Hubgate yet: start a node/);
  await using hub = await FakeHub.start();
  await using _node = await startNode(hub, database, 'n1');
  const clock = () => systemClock() + 3_600_000;
  assert.match(
    textOf(await examine(database, clock)),
    /the clock is 3[56]\d\d s ahead of that of the database/,
  );
  await using connected = new Postgres({
    url: database,
    application: 'test',
    connections: 1,
    deadline: 10_000,
  });
  await connected.change('UPDATE hubgate.schema_version SET version = version + 2');
  assert.match(
    textOf(await examine(database)),
    new RegExp(
      `has schema ${CLUSTER_SCHEMA + 2}, .* runs on ${CLUSTER_SCHEMA} and ${CLUSTER_SCHEMA + 1}: install the release`,
    ),
  );
});

test('the doctor finds nodes that are silent, are not reached, or are others than they say; not those that were stopped', async () => {
  await using hub = await FakeHub.start();
  const database = await server.database();
  await using _one = await startNode(hub, database, 'n1');
  await using _other = await startNode(hub, database, 'n2');
  await using connected = new Postgres({
    url: database,
    application: 'test',
    connections: 1,
    deadline: 10_000,
  });
  await connected.change(`INSERT INTO hubgate.node (id, run, address, certificate, version, beat_at)
    SELECT id, '', address, certificate, version, beat_at FROM (
      SELECT 'lost' AS id, '127.0.0.1:1' AS address, certificate, version, now() - interval '1 day' AS beat_at
        FROM hubgate.node WHERE id = 'n1'
      UNION SELECT 'stopped', address, certificate, version, '-infinity' FROM hubgate.node WHERE id = 'n1'
      UNION SELECT 'far', '127.0.0.1:${await freePort()}', certificate, version, now() + interval '1 day'
        FROM hubgate.node WHERE id = 'n1'
      UNION SELECT 'false', o.address, n.certificate, n.version, now() + interval '1 day'
        FROM hubgate.node n, hubgate.node o WHERE n.id = 'n1' AND o.id = 'n2') made`);
  const text = textOf(await examine(database));
  assert.match(text, /the node lost has given no sign of life since 20.*hubgate cluster forget lost/);
  assert.match(
    text,
    /the node far is alive, but cannot be reached from here at 127\.0\.0\.1:\d+: ECONNREFUSED/,
  );
  assert.match(text, /the node false is not what answers at 127\.0\.0\.1:\d+/);
  assert.equal(text.split('\n').length, 3, text);
});

test('the doctor recognizes a pooler in transaction mode, which loses notifications', async () => {
  const database = await server.database();
  await using pooler = await startPooler(server.port);
  const found = textOf(await examine(database.replace(`:${server.port}/`, `:${pooler.port}/`)));
  assert.match(
    found,
    /does not deliver notifications .*: connect to PostgreSQL itself, or through a pooler in session mode/,
  );
});

/** Passes everything on, except notifications of the server. */
async function startPooler(port: number): Promise<{ readonly port: number } & AsyncDisposable> {
  const open = new Set<Socket>();
  const pooler = createServer((client) => {
    const upstream = connect({ host: '127.0.0.1', port });
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    let waiting = Buffer.alloc(0);
    upstream.on('data', (bytes: Buffer) => {
      waiting = Buffer.concat([waiting, bytes]);
      // A message is a byte for its kind, and four for its length without that byte.
      while (waiting.length >= 5 && waiting.length > waiting.readUInt32BE(1)) {
        const end = waiting.readUInt32BE(1) + 1;
        if (waiting.toString('latin1', 0, 1) !== 'A') client.write(waiting.subarray(0, end));
        waiting = waiting.subarray(end);
      }
    });
  });
  const own = await freePort();
  const { promise, resolve } = Promise.withResolvers<void>();
  pooler.listen(own, '127.0.0.1', resolve);
  await promise;
  return {
    port: own,
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      pooler.close();
    },
  };
}
