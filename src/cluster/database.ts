import type { Logger } from '../platform/log.ts';
import { Postgres } from '../platform/postgres.ts';
import { CLUSTER_LIMITS, type ClusterLimits } from './limits.ts';
import { Notifications } from './notifications.ts';
import { migrateCluster } from './schema.ts';

export interface ClusterDatabaseOptions {
  /** A `postgres://` URL. */
  readonly url: string;
  /** The name of the node and the role, which the database shows for the connections. */
  readonly application: string;
  readonly log: Logger;
  /** Only tests set others. */
  readonly limits?: ClusterLimits;
}

/** The connections of one process to the database of the cluster. */
export interface ClusterDatabase extends AsyncDisposable {
  readonly database: Postgres;
  readonly notifications: Notifications;
}

/** One connection carries one query at a time, and a look-up takes less than a millisecond. */
const CONNECTIONS = 6;

/**
 * Connects, and makes the tables if they are missing.
 * @throws DatabaseUnavailable
 */
export async function openClusterDatabase(options: ClusterDatabaseOptions): Promise<ClusterDatabase> {
  const { url, application, log, limits = CLUSTER_LIMITS } = options;
  await using stack = new AsyncDisposableStack();
  const database = stack.use(
    new Postgres({ url, application, connections: CONNECTIONS, deadline: limits.query }),
  );
  await migrateCluster(database);
  const notifications = stack.use(new Notifications({ database, limits, log }));
  await notifications.begun();
  const opened = stack.move();
  return { database, notifications, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
