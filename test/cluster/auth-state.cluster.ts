import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { after } from 'node:test';
import { createPostgresState } from '../../src/auth/state/postgres-state.ts';
import { openClusterDatabase } from '../../src/cluster/database.ts';
import { testAuthState } from '../auth/state/auth-state.contract.ts';
import { QUIET } from '../support/test-core.ts';
import { startPostgres } from './support/postgres-server.ts';

const WRITER = path.join(import.meta.dirname, '../support/fixtures/state-writer.ts');

const server = await startPostgres();
after(() => server[Symbol.asyncDispose]());

testAuthState('PostgreSQL', async () => {
  const url = await server.database();
  const stack = new AsyncDisposableStack();
  const open = async () => {
    const cluster = stack.use(await openClusterDatabase({ url, application: 'test', log: QUIET }));
    return createPostgresState(cluster);
  };
  return {
    state: stack.use(await open()),
    openAgain: open,
    putTokensApart: async (owner, count) => {
      const [code] = await once(fork(WRITER, [url, owner, String(count)]), 'exit');
      return code;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
});
