/** The time-outs of a cluster, in milliseconds, with their reasons. */
export interface ClusterLimits {
  /**
   * The time-out of one query, and of opening a connection. A node must notice within 2 s that the database
   * is away.
   */
  readonly query: number;
  /**
   * The time between two queries on the connection that listens, each of which must be answered in `query`.
   */
  readonly heartbeat: number;
  /** The pause before a lost connection is opened again. */
  readonly reconnectAfter: number;
  /**
   * The life of a lease, and of a node that gives no sign of life. Clients wait at most so long for a node
   * that is frozen.
   */
  readonly lease: number;
  /** The time between two renewals of all leases of a node. */
  readonly renewEvery: number;
  /**
   * The time-out of opening a connection to another node, and of the head of its answer. Nodes are near one
   * another.
   */
  readonly peerAnswer: number;
  /**
   * The longest time between two pieces of a body from another node, which says that it is alive at least
   * twice as often.
   */
  readonly peerIdle: number;
  /**
   * The time after which a node looks again for what it could not purge, for example because it was arriving.
   */
  readonly retryPurges: number;
}

export const CLUSTER_LIMITS: ClusterLimits = {
  query: 1_000,
  heartbeat: 500,
  reconnectAfter: 250,
  lease: 4_000,
  renewEvery: 1_000,
  peerAnswer: 800,
  peerIdle: 1_500,
  retryPurges: 30_000,
};
