/**
 * This module lists the content that each node is still to remove from its disk. A node deletes its own rows
 * when it has done so.
 */
import type { PostgresQueries } from '../platform/postgres.ts';
import type { Digest } from '../registry/digest.ts';

export interface PendingPurge {
  readonly digest: Digest;
  /** It grows when the digest is purged again, so that the second purge is not taken for the first one. */
  readonly fence: number;
}

/** All of its methods throw `DatabaseUnavailable` if the database is away. */
export class Purges {
  readonly #database: PostgresQueries;
  /** The name of this node. */
  readonly #node: string;

  constructor(database: PostgresQueries, node: string) {
    this.#database = database;
    this.#node = node;
  }

  /** Requests that the other nodes remove content. Resolves to their number, with those that are away. */
  requestFromOthers(digest: Digest): Promise<number> {
    return this.#request(digest, this.#node);
  }

  /** Requests that all nodes remove content, this one too. */
  async requestFromAll(digest: Digest): Promise<void> {
    await this.#request(digest, '');
  }

  /** Resolves to what this node is to remove, in the order of the fences from the one after `after`. */
  pending(after: number, limit: number): Promise<readonly PendingPurge[]> {
    return this.#database.rows<PendingPurge>(
      'SELECT digest, fence FROM hubgate.purge WHERE node = $1 AND fence > $2 ORDER BY fence LIMIT $3',
      [this.#node, after, limit],
    );
  }

  /** Records that this node has removed content. */
  async done({ digest, fence }: PendingPurge): Promise<void> {
    await this.#database.change('DELETE FROM hubgate.purge WHERE node = $1 AND digest = $2 AND fence = $3', [
      this.#node,
      digest,
      fence,
    ]);
  }

  #request(digest: Digest, except: string): Promise<number> {
    return this.#database.change(
      `INSERT INTO hubgate.purge (node, digest) SELECT id, $1 FROM hubgate.node WHERE id <> $2
        ON CONFLICT (node, digest) DO UPDATE SET fence = excluded.fence`,
      [digest, except],
    );
  }
}
