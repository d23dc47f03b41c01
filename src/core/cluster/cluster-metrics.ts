import type { Meters } from '../../platform/metrics.ts';
import type { ClusterCore } from './join-cluster.ts';

/** Registers what this node knows of its cluster. */
export function measureCluster(meters: Meters, cluster: ClusterCore): void {
  meters.readGauge(
    'hubgate_cluster_database_up',
    '0 while the database of the cluster does not answer',
    () => [{ value: cluster.isConnected() ? 1 : 0 }],
  );
  const states = () => {
    const alive = cluster.nodes.all.filter(({ isAlive }) => isAlive).length;
    const silent = cluster.nodes.all.length - alive;
    return [
      { value: alive, labels: { state: 'alive' } },
      { value: silent, labels: { state: 'silent' } },
    ];
  };
  meters.readGauge('hubgate_cluster_nodes', 'The nodes of the cluster, as this one sees them', states, {
    labels: ['state'],
  });
}
