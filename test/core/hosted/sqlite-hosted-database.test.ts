import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SqliteHostedDatabase } from '../../../src/core/hosted/sqlite-hosted-database.ts';
import { QUIET } from '../../support/test-core.ts';
import { testHostedDatabase } from './hosted-database.contract.ts';

testHostedDatabase('SQLite', async () => {
  const stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-hosted-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const database = stack.use(await SqliteHostedDatabase.open(directory, QUIET));
  return { database, other: database, [Symbol.asyncDispose]: () => stack.disposeAsync() };
});
