import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/http.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { waitFor } from '../support/wait-for.ts';
import { startPostgres } from './support/postgres-server.ts';

test('auth says nothing about credentials while it could miss a revocation, if the configuration says so', async () => {
  await using server = await startPostgres();
  const database = await server.database();
  const start = async (node: string, onLoss: string) =>
    RunningMirror.start({
      environment: {
        HUBGATE_CLUSTER_DATABASE: database,
        HUBGATE_CLUSTER_NODE: node,
        HUBGATE_CLUSTER_LISTEN: `127.0.0.1:${await freePort()}`,
        HUBGATE_CLUSTER_ON_DATABASE_LOSS: onLoss,
      },
    });
  await using strict = await start('n1', 'refuse');
  await using lenient = await start('n2', 'serve');
  const credentials = async ({ home }: RunningMirror) => {
    const socketPath = path.join(home, 'run/auth/auth.sock');
    return (await ask({ socketPath, path: '/credentials' })).status;
  };
  assert.deepEqual([await credentials(strict), await credentials(lenient)], [200, 200]);
  await server.stop();
  // A gateway takes this for silence: test/gateway/auth-silence.test.ts shows what it refuses then.
  await waitFor(async () => (await credentials(strict)) === 503);
  assert.equal(await credentials(lenient), 200);
  await server.start();
  await waitFor(async () => (await credentials(strict)) === 200);
});
