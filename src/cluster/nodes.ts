/** The nodes of the cluster, each of which says every second that it is alive. */
import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../platform/clock.ts';
import type { Logger } from '../platform/log.ts';
import type { Postgres } from '../platform/postgres.ts';
import { reasonOf } from '../platform/reason.ts';
import { runPeriodically } from '../platform/scheduling/periodic-task.ts';
import { clockAhead } from './clock-ahead.ts';
import type { ClusterLimits } from './limits.ts';

export interface OwnNode {
  readonly id: string;
  /** The host and port at which the other nodes reach it. */
  readonly address: string;
  /** Its certificate as PEM. Other nodes accept this one only. */
  readonly certificate: string;
  /** The version of Hubgate. */
  readonly version: string;
}

export interface ClusterNode extends OwnNode {
  readonly isAlive: boolean;
  readonly isDraining: boolean;
}

export interface NodesOptions {
  readonly own: OwnNode;
  /** A pool of its own, so that a sign of life never waits for other queries. */
  readonly database: Postgres;
  readonly limits: ClusterLimits;
  readonly clock?: Clock | undefined;
  readonly log: Logger;
}

/** A task that runs after each sign of life of this node. */
export type OnBeat = () => Promise<void>;

const COLUMNS = `id, address, certificate, version, is_draining AS "isDraining",
  beat_at > now() - $1 * interval '1 ms' AS "isAlive"`;

export class Nodes implements AsyncDisposable {
  readonly #options: NodesOptions;
  /** The id of this start. An earlier start has another one, and so has another node of the same name. */
  readonly #run = randomUUID();
  readonly #onBeat: OnBeat[] = [];
  readonly #beating: AsyncDisposable;
  #known: readonly ClusterNode[] = [];
  #clockAhead: number | undefined;
  #refreshing: Promise<void> | undefined;

  private constructor(options: NodesOptions) {
    this.#options = options;
    this.#beating = runPeriodically(options.limits.renewEvery, () => this.#beat(), options.log);
  }

  /**
   * Enters the node into the cluster.
   * @throws if another process runs under its name
   */
  static async join(options: NodesOptions): Promise<Nodes> {
    const nodes = new Nodes(options);
    try {
      await nodes.#join();
      await nodes.#endEarlierDownloads();
      await nodes.refresh();
      return nodes;
    } catch (error) {
      await nodes.#beating[Symbol.asyncDispose]();
      throw error;
    }
  }

  get own(): OwnNode {
    return this.#options.own;
  }

  /** All nodes as of the last sign of life, this one too. */
  get all(): readonly ClusterNode[] {
    return this.#known;
  }

  /**
   * By how many milliseconds the clock of this node was ahead of that of the database at its last sign of
   * life; undefined before the first one.
   */
  get clockAhead(): number | undefined {
    return this.#clockAhead;
  }

  /** Returns another node by its name. */
  find(id: string): ClusterNode | undefined {
    return this.#known.find((one) => one.id === id && id !== this.own.id);
  }

  /**
   * Returns another node that is alive. One that has joined since the last sign of life of this node is not
   * known yet, so the nodes are read again if none of the known ones is wanted.
   * @throws DatabaseUnavailable
   */
  async findAlive(isWanted: (node: ClusterNode) => boolean): Promise<ClusterNode | undefined> {
    const find = () => this.#known.find((one) => one.isAlive && one.id !== this.own.id && isWanted(one));
    const known = find();
    if (known !== undefined) return known;
    await this.refresh();
    return find();
  }

  /**
   * Reads the nodes again. Returns the node as it is now if it is alive and has started again since it was
   * `known`: its certificate is another one then, so the known one does not reach it.
   * @throws DatabaseUnavailable
   */
  async findRestarted(known: ClusterNode): Promise<ClusterNode | undefined> {
    await this.refresh();
    const now = this.find(known.id);
    return now?.isAlive === true && now.certificate !== known.certificate ? now : undefined;
  }

  /** Calls `task` after each sign of life. */
  onBeat(task: OnBeat): void {
    this.#onBeat.push(task);
  }

  /** Reads the nodes again. Concurrent calls share one query. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    const { database, limits } = this.#options;
    this.#known = await database.rows<ClusterNode>(`SELECT ${COLUMNS} FROM hubgate.node ORDER BY id`, [
      limits.lease,
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#beating[Symbol.asyncDispose]();
    // The next start of this node must not wait until it counts as dead.
    await this.#options.database
      .change("UPDATE hubgate.node SET beat_at = '-infinity' WHERE id = $1 AND run = $2", [
        this.own.id,
        this.#run,
      ])
      .catch(() => {});
  }

  async #join(): Promise<void> {
    const { database, own, limits } = this.#options;
    const { id, address, certificate, version } = own;
    const joined = await database.change(
      `INSERT INTO hubgate.node AS n (id, run, address, certificate, version) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (id) DO UPDATE SET run = excluded.run, address = excluded.address, is_draining = false,
          certificate = excluded.certificate, version = excluded.version, began_at = now(), beat_at = now()
        WHERE n.run = excluded.run OR n.address = excluded.address OR n.beat_at < now() - $6 * interval '1 ms'`,
      [id, this.#run, address, certificate, version, limits.lease],
    );
    if (joined === 0)
      throw new Error(
        `a node named ${id} runs at another address already; give each node its own cluster.node`,
      );
  }

  /** An earlier run of this node downloads nothing any more, so nobody need wait until its leases run out. */
  async #endEarlierDownloads(): Promise<void> {
    const { database, own } = this.#options;
    await database.change('DELETE FROM hubgate.download WHERE node = $1', [own.id]);
  }

  async #beat(): Promise<undefined> {
    const { log } = this.#options;
    try {
      if (!(await this.#sayAlive())) await this.#join();
      await this.refresh();
    } catch (error) {
      // The connection that listens reports that the database is away.
      log.debug({ reason: reasonOf(error) }, 'the node could not say that it is alive');
    }
    for (const task of this.#onBeat) await task();
  }

  /** Resolves to false if the database does not know this start of the node. */
  async #sayAlive(): Promise<boolean> {
    const { database, own, clock = systemClock } = this.#options;
    const before = clock();
    const [row] = await database.rows<{ now: number }>(
      `UPDATE hubgate.node SET beat_at = now() WHERE id = $1 AND run = $2
        RETURNING (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now`,
      [own.id, this.#run],
    );
    if (row === undefined) return false;
    this.#clockAhead = clockAhead(before, row.now, clock());
    return true;
  }
}
