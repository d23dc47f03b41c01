/**
 * The knowledge of the database about the objects in the object store. The clock of the database is the only
 * one that counts here.
 */
import type { PostgresQueries } from '../../platform/postgres.ts';
import type { Digest } from '../../registry/digest.ts';

export interface StoredObject {
  readonly digest: Digest;
  readonly key: string;
  readonly size: number;
}

/** An object that was put while its node had a lease. */
export interface PutObject extends StoredObject {
  readonly lease: string;
  readonly fence: number;
}

const INTO_REMOVED = 'INSERT INTO hubgate.removed_object (key) SELECT key FROM gone ON CONFLICT DO NOTHING';

/** All of its methods throw `DatabaseUnavailable` if the database is away. */
export class StoredObjects {
  readonly #database: PostgresQueries;

  constructor(database: PostgresQueries) {
    this.#database = database;
  }

  async find(digest: Digest): Promise<StoredObject | undefined> {
    const [row] = await this.#database.rows<Omit<StoredObject, 'digest'>>(
      'SELECT key, size FROM hubgate.object WHERE digest = $1',
      [digest],
    );
    return row && { digest, ...row };
  }

  /** Records an object, unless the node that has put it has lost its lease. Resolves to false then. */
  async publish({ digest, key, size, lease, fence }: PutObject): Promise<boolean> {
    const published = await this.#database.change(
      `WITH held AS (DELETE FROM hubgate.download WHERE digest = $4 AND fence = $5 RETURNING fence)
        INSERT INTO hubgate.object (digest, key, size) SELECT $1, $2, $3::bigint FROM held ON CONFLICT DO NOTHING`,
      [digest, key, size, lease, fence],
    );
    return published > 0;
  }

  /** Forgets an object that is gone or wrong. Its key is removed from the store later. */
  async drop({ digest, key }: StoredObject): Promise<void> {
    await this.#database.change(
      `WITH gone AS (DELETE FROM hubgate.object WHERE digest = $1 AND key = $2 RETURNING key) ${INTO_REMOVED}`,
      [digest, key],
    );
  }

  /** Forgets the object of content that no repository contains. Its key is removed from the store later. */
  async removeUnlinked(digest: Digest): Promise<void> {
    await this.#database.change(
      `WITH gone AS (DELETE FROM hubgate.object o WHERE digest = $1
          AND NOT EXISTS (SELECT FROM hubgate.link l WHERE l.digest = o.digest) RETURNING key
        ) ${INTO_REMOVED}`,
      [digest],
    );
  }

  /** Records that a node uses these contents, of which some are objects. */
  async use(digests: readonly Digest[]): Promise<void> {
    await this.#database.change('UPDATE hubgate.object SET used_at = now() WHERE digest = ANY ($1)', [
      digests,
    ]);
  }

  /** Forgets objects that no node has used for so many milliseconds. Resolves to their number. */
  removeUnused(milliseconds: number, limit: number): Promise<number> {
    return this.#database.change(
      `WITH gone AS (DELETE FROM hubgate.object WHERE digest IN (
          SELECT digest FROM hubgate.object WHERE used_at < now() - $1 * interval '1 ms'
          ORDER BY used_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ) RETURNING key) ${INTO_REMOVED}`,
      [milliseconds, limit],
    );
  }

  /** Resolves to keys that were forgotten so many milliseconds ago, so that no node reads them any more. */
  async removable(milliseconds: number, limit: number): Promise<readonly string[]> {
    const rows = await this.#database.rows<{ key: string }>(
      `SELECT key FROM hubgate.removed_object WHERE removed_at <= now() - $1 * interval '1 ms'
        ORDER BY removed_at LIMIT $2`,
      [milliseconds, limit],
    );
    return rows.map(({ key }) => key);
  }

  async removed(key: string): Promise<void> {
    await this.#database.change('DELETE FROM hubgate.removed_object WHERE key = $1', [key]);
  }

  /** Resolves to the keys among these that no row has. */
  async unknown(keys: readonly string[]): Promise<readonly string[]> {
    const rows = await this.#database.rows<{ key: string }>(
      `SELECT key FROM unnest($1::text[]) AS k (key)
        WHERE NOT EXISTS (SELECT FROM hubgate.object o WHERE o.key = k.key)
        AND NOT EXISTS (SELECT FROM hubgate.hosted_content h WHERE h.object = k.key)
        AND NOT EXISTS (SELECT FROM hubgate.removed_object r WHERE r.key = k.key)`,
      [keys],
    );
    return rows.map(({ key }) => key);
  }

  /** Resolves to the name by which the store knows this cluster. The first caller chooses it. */
  async owner(proposed: string): Promise<string> {
    await this.#database.change(
      'INSERT INTO hubgate.object_store (owner) VALUES ($1) ON CONFLICT DO NOTHING',
      [proposed],
    );
    const [row] = await this.#database.rows<{ owner: string }>('SELECT owner FROM hubgate.object_store');
    return row?.owner ?? proposed;
  }

  /** True once in so many milliseconds for the whole cluster. */
  async isSweepDue(milliseconds: number): Promise<boolean> {
    const changed = await this.#database.change(
      `UPDATE hubgate.object_store SET swept_at = now()
        WHERE swept_at IS NULL OR swept_at < now() - $1 * interval '1 ms'`,
      [milliseconds],
    );
    return changed > 0;
  }

  /** Records how many contents of a node wait to be put into the store. */
  async putPending(node: string, count: number): Promise<void> {
    await this.#database.change('UPDATE hubgate.node SET pending_uploads = $2 WHERE id = $1', [node, count]);
  }
}
