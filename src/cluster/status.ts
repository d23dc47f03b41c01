import type { PostgresQueries } from '../platform/postgres.ts';
import { readDatabaseTime, readSchemaVersion } from './examine.ts';
import { CLUSTER_LIMITS } from './limits.ts';
import { OBJECTS_SCHEMA, PURGES_SCHEMA } from './schema.ts';

/** One node as the database knows it. */
export interface NodeStatus {
  readonly id: string;
  readonly isAlive: boolean;
  readonly isDraining: boolean;
  readonly version: string;
  readonly address: string;
  /**
   * Both are milliseconds since the epoch by the clock of the database. `beatAt` is the last sign of life.
   */
  readonly beganAt: number;
  readonly beatAt: number | null;
  /** The manifests and blobs on its disk that other nodes can fetch. */
  readonly copies: number;
  /** The downloads that it makes for all nodes. */
  readonly downloads: number;
  /** The blobs on its disk that the object store lacks. */
  readonly pendingUploads: number;
  /** The blobs that were purged and are still on its disk. */
  readonly pendingPurges: number;
}

export interface ClusterStatus {
  readonly schema: number;
  /** The time by the clock of the database. */
  readonly now: number;
  readonly nodes: readonly NodeStatus[];
  readonly documents: readonly SharedDocumentStatus[];
  /** The objects in the object store. */
  readonly objects: ObjectTotals;
}

export interface ObjectTotals {
  readonly count: number;
  readonly bytes: number;
}

export interface SharedDocumentStatus {
  readonly name: string;
  readonly version: number;
  /** The node on which it was edited last. */
  readonly node: string;
  readonly at: number;
}

const MS = (column: string) => `(extract(epoch FROM ${column}) * 1000)::bigint`;

/**
 * Reads what the database knows of the cluster. An older release may have made its tables, because this
 * release adds its own only when a node of it starts.
 * @throws DatabaseUnavailable
 */
export async function readClusterStatus(database: PostgresQueries): Promise<ClusterStatus> {
  const schema = (await readSchemaVersion(database)) ?? 0;
  const status = { schema, now: await readDatabaseTime(database) };
  if (schema === 0) return { ...status, nodes: [], documents: [], objects: { count: 0, bytes: 0 } };
  const hasObjects = schema >= OBJECTS_SCHEMA;
  const nodes = await database.rows<NodeStatus>(
    `SELECT id, version, address, is_draining AS "isDraining", beat_at > now() - $1 * interval '1 ms' AS "isAlive",
      ${MS('began_at')} AS "beganAt", CASE WHEN isfinite(beat_at) THEN ${MS('beat_at')} END AS "beatAt",
      (SELECT count(*) FROM hubgate.copy WHERE node = n.id) AS copies,
      (SELECT count(*) FROM hubgate.download
        WHERE node = n.id AND lease_until > now() AND digest LIKE 'sha%') AS downloads,
      ${hasObjects ? 'pending_uploads' : '0'} AS "pendingUploads",
      ${schema >= PURGES_SCHEMA ? '(SELECT count(*) FROM hubgate.purge WHERE node = n.id)' : '0'} AS "pendingPurges"
      FROM hubgate.node n ORDER BY id`,
    [CLUSTER_LIMITS.lease],
  );
  const documents = await database.rows<SharedDocumentStatus>(
    `SELECT name, version, node, ${MS('at')} AS at FROM hubgate.shared_document ORDER BY name`,
  );
  return { ...status, nodes, documents, objects: await readObjectTotals(database, hasObjects) };
}

async function readObjectTotals(database: PostgresQueries, hasObjects: boolean): Promise<ObjectTotals> {
  const nothing = { count: 0, bytes: 0 };
  if (!hasObjects) return nothing;
  const [totals = nothing] = await database.rows<ObjectTotals>(
    'SELECT count(*) AS count, coalesce(sum(size), 0)::bigint AS bytes FROM hubgate.object',
  );
  return totals;
}
