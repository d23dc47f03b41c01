/** A node of a cluster conforms as a registry that works alone does. */
import { access } from 'node:fs/promises';
import { test } from 'node:test';
import { BUCKET, startVersity, whyNoServer } from '../cluster/support/object-servers.ts';
import { startPostgres } from '../cluster/support/postgres-server.ts';
import { freePort } from '../support/free-port.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { assertConforms, HOSTED, NOT_OFFERED, POLICY, REPOSITORIES, targetOf } from './support/conforming.ts';
import { runSuite } from './support/suite.ts';

/** Returns false if both servers are installed; else why the test is skipped. */
async function whyNoCluster(): Promise<string | false> {
  const hasPostgres = await access('/usr/lib/postgresql').then(
    () => true,
    () => false,
  );
  return hasPostgres ? whyNoServer('versitygw') : 'PostgreSQL is not installed';
}

test('a node of a cluster conforms', { skip: await whyNoCluster() }, async (t) => {
  await using server = await startPostgres();
  await using s3 = await startVersity();
  await using node = await RunningMirror.start({
    config: HOSTED,
    policy: POLICY,
    environment: {
      HUBGATE_CLUSTER_DATABASE: await server.database(),
      HUBGATE_CLUSTER_NODE: 'n1',
      HUBGATE_CLUSTER_LISTEN: `127.0.0.1:${await freePort()}`,
      HUBGATE_CLUSTER_OBJECTS_ENDPOINT: s3.endpoint,
      HUBGATE_CLUSTER_OBJECTS_BUCKET: BUCKET,
      HUBGATE_CLUSTER_OBJECTS_ACCESS_KEY_FILE: s3.accessKeyFile,
      HUBGATE_CLUSTER_OBJECTS_SECRET_KEY_FILE: s3.secretKeyFile,
    },
  });
  const target = await targetOf(node);
  assertConforms(t, await runSuite(target, { ...REPOSITORIES, ...NOT_OFFERED, OCI_VERSION: '1.1' }));
});
