import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { credentialStores } from '../../src/commands/credential-stores.ts';

const DATABASE = 'postgres://hubgate@db.corp/hubgate';
let home: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-stores-'));
  await mkdir(path.join(home, 'config'));
});

after(() => rm(home, { recursive: true }));

async function configure(text: string): Promise<void> {
  await writeFile(path.join(home, 'config/hubgate.yaml'), text);
}

test('credentials are in the files of a home, or in the database of its cluster', async () => {
  await configure('{}\n');
  const { authState, database } = await credentialStores(home, {});
  assert.deepEqual([authState, database], [path.join(home, 'state/auth.db'), undefined]);
  const variables = { HUBGATE_CLUSTER_DATABASE: DATABASE };
  assert.equal((await credentialStores(home, variables)).database, DATABASE);
  await configure(`cluster: { database: "${DATABASE}", node: n1 }\n`);
  assert.equal((await credentialStores(home, {})).database, DATABASE);
});

test('a configuration that is wrong sends no revocation of a cluster into a file', async () => {
  await configure('servers: {}\n');
  assert.equal((await credentialStores(home, {})).database, undefined);
  await assert.rejects(credentialStores(home, { HUBGATE_CLUSTER_DATABASE: DATABASE }), /servers/);
  await configure(`servers: {}\ncluster: { database: "${DATABASE}", node: n1 }\n`);
  await assert.rejects(credentialStores(home, {}), /servers/);
});
