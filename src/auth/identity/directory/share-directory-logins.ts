import type { PostgresQueries } from '../../../platform/postgres.ts';
import { CONFIRMATION } from '../../limits.ts';
import type { ConfirmationClaims } from './confirmation-claims.ts';

/** The state that the nodes of a cluster share for logins of directories. */
export interface SharedDirectoryLogins {
  /** Returns the key of all nodes, in hex. The first node gives its own key to all. */
  shareKey(own: string): Promise<string>;
  readonly claims: ConfirmationClaims;
}

const TAKE = `INSERT INTO hubgate.confirmation AS c (person, node, until)
  VALUES ($1, $2, now() + $3 * interval '1 ms')
  ON CONFLICT (person) DO UPDATE SET node = excluded.node, until = excluded.until WHERE c.until < now()`;

/**
 * Any node can finish a login that began at another one, and confirm everybody; and no two nodes ask about
 * the same person at the same time.
 */
export function shareDirectoryLogins(database: PostgresQueries, node: string): SharedDirectoryLogins {
  return {
    async shareKey(own) {
      await database.change('INSERT INTO hubgate.login_key (key) VALUES ($1) ON CONFLICT DO NOTHING', [own]);
      const [row] = await database.rows<{ key: string }>('SELECT key FROM hubgate.login_key');
      return row?.key ?? own;
    },
    claims: {
      take: async (person) => (await database.change(TAKE, [person, node, CONFIRMATION.claimedFor])) === 1,
      async release(people) {
        await database.change('DELETE FROM hubgate.confirmation WHERE node = $1 AND person = ANY ($2)', [
          node,
          people,
        ]);
      },
    },
  };
}
