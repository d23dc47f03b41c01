import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openSqliteIndex } from '../../../src/core/store/sqlite-index.ts';
import { QUIET } from '../../support/test-core.ts';
import { testIndexStore } from './index-store.contract.ts';

testIndexStore('SQLite', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-index-'));
  const file = path.join(directory, 'index.db');
  let index = openSqliteIndex(file, QUIET);
  return {
    index,
    reopen: async () => {
      await index[Symbol.asyncDispose]();
      index = openSqliteIndex(file, QUIET);
      return index;
    },
    [Symbol.asyncDispose]: async () => {
      await index[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
});
