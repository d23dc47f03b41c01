import type { PostgresQueries } from '../platform/postgres.ts';
import { CLUSTER_LIMITS } from './limits.ts';

/**
 * Marks a node, so that it tells the balancer that it wants no new clients. It forgets that at its next
 * start. Resolves to false if there is no such node.
 * @throws DatabaseUnavailable
 */
export async function drainNode(database: PostgresQueries, id: string): Promise<boolean> {
  return (await database.change('UPDATE hubgate.node SET is_draining = true WHERE id = $1', [id])) > 0;
}

/**
 * Removes a node that will not come back, with all that only it has. Resolves to `alive` if it still runs,
 * and changes nothing then.
 * @throws DatabaseUnavailable
 */
export async function forgetNode(
  database: PostgresQueries,
  id: string,
): Promise<'forgotten' | 'alive' | 'unknown'> {
  const [node] = await database.rows<{ isAlive: boolean }>(
    `SELECT beat_at > now() - $2 * interval '1 ms' AS "isAlive" FROM hubgate.node WHERE id = $1`,
    [id, CLUSTER_LIMITS.lease],
  );
  if (node === undefined) return 'unknown';
  if (node.isAlive) return 'alive';
  for (const [table, column] of [
    ['copy', 'node'],
    ['download', 'node'],
    ['signing_key', 'node'],
    ['confirmation', 'node'],
    ['node', 'id'],
  ])
    await database.change(`DELETE FROM hubgate.${table} WHERE ${column} = $1`, [id]);
  return 'forgotten';
}
