import type { JWK } from 'jose';
import type { ClusterDatabase } from '../../cluster/database.ts';
import type { Logger } from '../../platform/log.ts';
import { MutableValue, type ObservableValue } from '../../platform/observable-value.ts';
import { reasonOf } from '../../platform/reason.ts';
import type { SigningKeys } from './signing-key.ts';

export interface SharedKeysOptions extends ClusterDatabase {
  /** The keys of this node. */
  readonly own: ObservableValue<SigningKeys>;
  /** The name of this node. */
  readonly node: string;
  readonly log: Logger;
}

/** The tokens of a node that was silent for a day have all expired, so its keys are left out. */
const KEYS_OF = `SELECT jwk FROM hubgate.signing_key k WHERE node <> $1 AND NOT EXISTS
  (SELECT 1 FROM hubgate.node WHERE id = k.node AND beat_at < now() - interval '1 day') ORDER BY node, kid`;

/**
 * Returns the keys with which tokens are signed here, and those that verify tokens of any node. Each node has
 * a key of its own and tells the others its public half, so no private key leaves its node.
 * @throws DatabaseUnavailable
 */
export async function shareKeys(
  options: SharedKeysOptions,
): Promise<ObservableValue<SigningKeys> & Disposable> {
  const { database, notifications, own, node, log } = options;
  const read = async (): Promise<SigningKeys> => {
    const { signing, verifying } = own.current;
    const rows = await database.rows<{ jwk: JWK }>(KEYS_OF, [node]);
    return { signing, verifying: [...verifying, ...rows.map(({ jwk }) => jwk)] };
  };
  const publish = () =>
    database.transaction(async (queries) => {
      await queries.change('DELETE FROM hubgate.signing_key WHERE node = $1', [node]);
      for (const jwk of own.current.verifying)
        await queries.change('INSERT INTO hubgate.signing_key (node, kid, jwk) VALUES ($1, $2, $3)', [
          node,
          jwk.kid ?? '',
          JSON.stringify(jwk),
        ]);
    });
  await publish();
  const live = new MutableValue(await read());
  let isOver = false;
  const attempt = async (task: () => Promise<unknown>) => {
    try {
      await task();
      live.set(await read());
    } catch (error) {
      // When the database is back, its first message causes another attempt.
      if (!isOver) log.debug({ reason: reasonOf(error) }, 'the keys of other nodes cannot be read');
    }
  };
  notifications.on('auth', (what) => {
    if (what === 'signing_key') void attempt(async () => {});
    // The connection was lost and is back. This node may not have published its keys meanwhile.
    else if (what === '') void attempt(publish);
  });
  const follow = async () => {
    for (;;) {
      await own.changed();
      if (isOver) return;
      // Tokens are signed with the new key at once.
      live.set({ ...live.current, signing: own.current.signing });
      await attempt(publish);
    }
  };
  void follow();
  return {
    get current() {
      return live.current;
    },
    changed: () => live.changed(),
    [Symbol.dispose]: () => {
      isOver = true;
    },
  };
}
