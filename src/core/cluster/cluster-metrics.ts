import type { Meters } from '../../platform/metrics.ts';
import type { ClusterCore } from './join-cluster.ts';
import type { ClusterObjects } from './objects/join-objects.ts';

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
  meters.readGauge(
    'hubgate_cluster_clock_ahead_seconds',
    'How far the clock of this node is ahead of that of the database; negative if it is behind',
    () => {
      const ahead = cluster.nodes.clockAhead;
      return ahead === undefined ? [] : [{ value: ahead / 1000 }];
    },
  );
  meters.readGauge(
    'hubgate_cluster_leases',
    'The leases of this node: its downloads, its uploads to the object store, and its duties',
    () => [{ value: cluster.leases.held }],
  );
  if (cluster.objects !== undefined) measureObjects(meters, cluster.objects);
}

function measureObjects(meters: Meters, objects: ClusterObjects): void {
  meters.readGauge('hubgate_cluster_objects_up', '0 while the object store cannot be used', () => [
    { value: objects.trouble === undefined ? 1 : 0 },
  ]);
  meters.readGauge(
    'hubgate_cluster_pending_uploads',
    'The blobs on the disk of this node that the object store lacks',
    () => [{ value: objects.pending }],
  );
  meters.readCounter(
    'hubgate_cluster_object_requests_total',
    'The requests of this node to the object store, by the kind of the answer',
    () =>
      [...objects.requests].map(([key, value]) => {
        const [operation = '', outcome = ''] = key.split(' ');
        return { value, labels: { operation, outcome } };
      }),
    ['operation', 'outcome'],
  );
}
