import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { runAll } from '../../../src/commands/doctor/checks.ts';
import { clusterChecks } from '../../../src/commands/doctor/server/cluster.ts';
import { pathsIn } from '../../../src/config/home.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { freePort } from '../../support/free-port.ts';

test('the doctor of a node says that the database is away and what to do, and finds the edits that have lost', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-doctor-'));
  try {
    await mkdir(path.join(home, 'config'));
    for (const name of ['access.yaml', 'access.yaml.conflict-2026-11-30T041500.000Z', 'users.yaml.bak'])
      await writeFile(path.join(home, 'config', name), '');
    const database = `postgres://hubgate:s3cret@127.0.0.1:${await freePort()}/hubgate`;
    const cluster = { database, node: 'n1', listen: { port: 9443 }, onDatabaseLoss: 'serve' } as const;
    const checked = await runAll(clusterChecks({ paths: pathsIn(home), cluster, clock: systemClock }));
    assert.doesNotMatch(JSON.stringify(checked), /s3cret/);
    assert.deepEqual(
      checked.map(({ name, outcome }) => [name, outcome]),
      [
        ['cluster database', 'wrong'],
        ['cluster notifications', 'skipped'],
        ['cluster nodes', 'skipped'],
        ['shared documents', 'wrong'],
      ],
    );
    const [away, conflict] = checked.flatMap((one) => ('findings' in one ? one.findings : []));
    assert.equal(away?.where, 'cluster.database');
    assert.match(away.mend, /start PostgreSQL there/);
    assert.equal(conflict?.where, 'config/access.yaml.conflict-2026-11-30T041500.000Z');
    assert.match(conflict.mend, /again in config\/access\.yaml/);
  } finally {
    await rm(home, { recursive: true });
  }
});
