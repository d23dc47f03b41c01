/** Several cores of one cluster in this process, with one stand-in Hub and a real database. */
import type { ClusterLimits } from '../../../src/cluster/limits.ts';
import type { ClusterCoreOptions } from '../../../src/core/cluster/join-cluster.ts';
import { makeNodeCertificate } from '../../../src/pki/node-certificate.ts';
import type { FakeHub } from '../../support/fake-hub.ts';
import { freePort } from '../../support/free-port.ts';
import { TestCore } from '../../support/test-core.ts';

/** Time-outs that a busy machine keeps, except where a test waits for one. */
export const PATIENT_CLUSTER: ClusterLimits = {
  query: 10_000,
  heartbeat: 200,
  reconnectAfter: 50,
  lease: 30_000,
  renewEvery: 200,
  peerAnswer: 10_000,
  peerIdle: 15_000,
  retryPurges: 60_000,
};

export async function nodeOptions(
  database: string,
  id: string,
  limits: ClusterLimits = PATIENT_CLUSTER,
): Promise<ClusterCoreOptions> {
  const port = await freePort();
  const { key, certificate } = makeNodeCertificate(id, Date.now());
  const listen = { host: '127.0.0.1', port };
  return { database, node: id, version: '0.2.0', key, certificate, listen, onDatabaseLoss: 'serve', limits };
}

/** Starts a core of a cluster. */
export async function startNode(
  hub: FakeHub,
  database: string,
  id: string,
  options: Partial<ClusterCoreOptions> = {},
): Promise<TestCore> {
  const cluster = { ...(await nodeOptions(database, id, options.limits)), ...options };
  return TestCore.start(hub, { cluster });
}
