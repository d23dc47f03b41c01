import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { Copies } from '../../src/cluster/copies.ts';
import { openClusterDatabase } from '../../src/cluster/database.ts';
import { ClusterIndex } from '../../src/core/store/cluster-index.ts';
import { openSqliteIndex } from '../../src/core/store/sqlite-index.ts';
import { testIndexStore } from '../core/store/index-store.contract.ts';
import { QUIET } from '../support/test-core.ts';
import { startPostgres } from './support/postgres-server.ts';

const server = await startPostgres();
after(() => server[Symbol.asyncDispose]());

testIndexStore('PostgreSQL', async () => {
  const url = await server.database();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-index-'));
  const stack = new AsyncDisposableStack();
  stack.defer(() => rm(directory, { recursive: true }));
  const cluster = stack.use(await openClusterDatabase({ url, application: 'test', log: QUIET }));
  const { database, notifications } = cluster;
  const copies = new Copies({ database, node: 'n1', log: QUIET });
  const open = () =>
    new ClusterIndex({
      ...{ database, notifications, copies, log: QUIET, onDatabaseLoss: 'serve' },
      local: openSqliteIndex(path.join(directory, 'index.db'), QUIET),
    });
  let index = open();
  stack.defer(() => index[Symbol.asyncDispose]());
  return {
    index,
    reopen: async () => {
      await index[Symbol.asyncDispose]();
      index = open();
      return index;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
});
