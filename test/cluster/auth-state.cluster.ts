import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { after, test } from 'node:test';
import { openStateAt } from '../../src/auth/state/open-state.ts';
import { createPostgresState } from '../../src/auth/state/postgres-state.ts';
import { openClusterDatabase } from '../../src/cluster/database.ts';
import { testAuthState } from '../auth/state/auth-state.contract.ts';
import { QUIET } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
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

test('the state of a command has no connection left when it ends', async () => {
  const url = await server.database();
  const connections = () =>
    Number(server.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hubgate command'"));
  {
    await using _ = await openStateAt({ authState: 'unused', database: url });
    assert.ok(connections() > 0);
  }
  await waitFor(() => connections() === 0);
});
