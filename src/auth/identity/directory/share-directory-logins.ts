import type { PostgresQueries } from '../../../platform/postgres.ts';
import { CONFIRMATION } from '../../limits.ts';
import type { ConfirmationClaims } from './confirmation-claims.ts';
import { LOGOUT_REMEMBERED_FOR, type UsedLogouts } from './used-logouts.ts';

/** The state that the nodes of a cluster share for logins of directories. */
export interface SharedDirectoryLogins {
  /** Returns the key of all nodes, in hex. The first node gives its own key to all. */
  shareKey(own: string): Promise<string>;
  readonly claims: ConfirmationClaims;
  readonly logouts: UsedLogouts;
}

const TAKE = `INSERT INTO hubgate.confirmation AS c (person, node, until)
  VALUES ($1, $2, now() + $3 * interval '1 ms')
  ON CONFLICT (person) DO UPDATE SET node = excluded.node, until = excluded.until WHERE c.until < now()`;

const USE_LOGOUT = `INSERT INTO hubgate.used_logout (id, until) VALUES ($1, now() + $2 * interval '1 ms')
  ON CONFLICT DO NOTHING`;

/**
 * Any node can finish a login that began at another one, and confirm everybody; no two nodes ask about the
 * same person at the same time, and a logout token counts at one of them.
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
    logouts: {
      async use(id) {
        await database.change('DELETE FROM hubgate.used_logout WHERE until < now()');
        return (await database.change(USE_LOGOUT, [id, LOGOUT_REMEMBERED_FOR])) === 1;
      },
    },
  };
}
