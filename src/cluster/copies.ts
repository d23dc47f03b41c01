/**
 * This module records which nodes have which content on their disks. The record may be wrong, so the node is
 * asked.
 */
import type { Logger } from '../platform/log.ts';
import type { Postgres } from '../platform/postgres.ts';
import { reasonOf } from '../platform/reason.ts';

export interface CopiesOptions {
  readonly database: Postgres;
  /** The name of this node. */
  readonly node: string;
  readonly log: Logger;
}

export class Copies {
  readonly #options: CopiesOptions;

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  /**
   * Returns the names of the other nodes that have the content.
   * @throws DatabaseUnavailable
   */
  async elsewhere(digest: string): Promise<readonly string[]> {
    const { database, node } = this.#options;
    const rows = await database.rows<{ node: string }>(
      'SELECT node FROM hubgate.copy WHERE digest = $1 AND node <> $2 ORDER BY node',
      [digest, node],
    );
    return rows.map((row) => row.node);
  }

  /** Records that this node has the content. If that fails, others download the content themselves. */
  async put(digest: string): Promise<void> {
    await this.#try('INSERT INTO hubgate.copy (digest, node) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
      digest,
      this.#options.node,
    ]);
  }

  /** Records that a node, usually this one, does not have the content. */
  async remove(digest: string, node: string = this.#options.node): Promise<void> {
    await this.#try('DELETE FROM hubgate.copy WHERE digest = $1 AND node = $2', [digest, node]);
  }

  /** Records that this node has no content, because it has lost its disk. */
  async clear(): Promise<void> {
    await this.#try('DELETE FROM hubgate.copy WHERE node = $1', [this.#options.node]);
  }

  async #try(sql: string, values: readonly string[]): Promise<void> {
    const { database, log } = this.#options;
    try {
      await database.change(sql, values);
    } catch (error) {
      log.debug({ reason: reasonOf(error) }, 'the copies of content could not be recorded');
    }
  }
}
