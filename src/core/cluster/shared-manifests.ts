import type { PostgresQueries } from '../../platform/postgres.ts';
import { type Digest, matchesDigest, startHash } from '../../registry/digest.ts';

/**
 * The manifests in the database of the cluster, so that the upstream sends each of them once to all nodes.
 */
export class SharedManifests {
  readonly #database: PostgresQueries;

  constructor(database: PostgresQueries) {
    this.#database = database;
  }

  /**
   * Reads a manifest that any node has fetched. Bytes that do not match the digest count as absent.
   * @throws DatabaseUnavailable
   */
  async read(digest: Digest): Promise<Uint8Array | undefined> {
    const [row] = await this.#database.rows<{ bytes: Uint8Array }>(
      'UPDATE hubgate.manifest SET used_at = now() WHERE digest = $1 RETURNING bytes',
      [digest],
    );
    if (row === undefined) return undefined;
    const hash = startHash(digest);
    hash.update(row.bytes);
    if (matchesDigest(hash, digest)) return row.bytes;
    await this.#database.change('DELETE FROM hubgate.manifest WHERE digest = $1', [digest]);
    return undefined;
  }

  /**
   * Stores a manifest that was verified and judged.
   * @throws DatabaseUnavailable
   */
  async put(digest: Digest, bytes: Uint8Array): Promise<void> {
    await this.#database.change(
      'INSERT INTO hubgate.manifest (digest, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING',
      [digest, bytes],
    );
  }

  /**
   * Removes a manifest that no repository contains any more.
   * @throws DatabaseUnavailable
   */
  async removeUnlinked(digest: Digest): Promise<void> {
    await this.#database.change(
      `DELETE FROM hubgate.manifest m WHERE digest = $1
        AND NOT EXISTS (SELECT FROM hubgate.link l WHERE l.digest = m.digest)`,
      [digest],
    );
  }

  /** Removes what no node has read from here for `days` days. */
  async sweep(days: number): Promise<void> {
    await this.#database.change(
      "DELETE FROM hubgate.manifest WHERE used_at < now() - $1 * interval '1 day'",
      [days],
    );
  }
}
