/**
 * Leases decide which node downloads a digest from the upstreams. One node at a time has the lease of a
 * digest. The fence of a lease is a number that grows with each lease, so that the work of a node which has
 * lost its lease can be told from that of its successor.
 */
import type { Logger } from '../platform/log.ts';
import type { Postgres } from '../platform/postgres.ts';
import { reasonOf } from '../platform/reason.ts';
import type { ClusterLimits } from './limits.ts';
import type { Nodes } from './nodes.ts';

export interface LeasesOptions {
  /** The pool of the nodes, see `NodesOptions`. */
  readonly database: Postgres;
  readonly nodes: Nodes;
  readonly limits: ClusterLimits;
  readonly log: Logger;
}

/** The right to download one digest, until it is disposed of or lost. */
export interface Lease extends AsyncDisposable {
  readonly kind: 'held';
  readonly fence: number;
  /** Aborted when another node may have taken the lease. */
  readonly lost: AbortSignal;
}

/** The node that has the lease. */
export interface LeasedElsewhere {
  readonly kind: 'elsewhere';
  readonly node: string;
  readonly fence: number;
  /** The milliseconds until the lease runs out, unless the node renews it. */
  readonly endsIn: number;
}

/** A lease that need not run out. */
export type GoneLease = Pick<LeasedElsewhere, 'node' | 'fence'>;

const TAKE = `INSERT INTO hubgate.download AS d (digest, node, fence, lease_until)
  VALUES ($1, $2, nextval('hubgate.fence'), now() + $3 * interval '1 ms')
  ON CONFLICT (digest) DO UPDATE SET node = excluded.node, fence = excluded.fence, lease_until = excluded.lease_until
  WHERE d.lease_until < now() OR (d.node = $4 AND d.fence = $5) RETURNING fence`;
const NOBODY = { node: '', fence: -1 };

export class Leases {
  readonly #options: LeasesOptions;
  readonly #held = new Map<number, AbortController>();

  constructor(options: LeasesOptions) {
    this.#options = options;
    options.nodes.onBeat(() => this.#renew());
  }

  /** The number of leases that this node has. */
  get held(): number {
    return this.#held.size;
  }

  /**
   * Takes the lease of `key`, or says who has it. `gone` is a holder that has ended for certain, so that its
   * lease need not run out.
   * @throws DatabaseUnavailable
   */
  async take(key: string, gone: GoneLease = NOBODY): Promise<Lease | LeasedElsewhere> {
    const { database, nodes, limits } = this.#options;
    for (;;) {
      const [taken] = await database.rows<{ fence: number }>(TAKE, [
        key,
        nodes.own.id,
        limits.lease,
        gone.node,
        gone.fence,
      ]);
      if (taken !== undefined) return this.#hold(key, taken.fence);
      const holder = await this.holder(key);
      if (holder !== undefined) return holder;
    }
  }

  /**
   * Returns who has the lease of `key` now.
   * @throws DatabaseUnavailable
   */
  async holder(key: string): Promise<LeasedElsewhere | undefined> {
    const { database } = this.#options;
    const [row] = await database.rows<Omit<LeasedElsewhere, 'kind'>>(
      `SELECT node, fence, 1000 * extract(epoch FROM lease_until - now())::float8 AS "endsIn"
        FROM hubgate.download WHERE digest = $1 AND lease_until >= now()`,
      [key],
    );
    return row && { kind: 'elsewhere', ...row };
  }

  #hold(key: string, fence: number): Lease {
    const { database, log } = this.#options;
    const losing = new AbortController();
    this.#held.set(fence, losing);
    return {
      kind: 'held',
      fence,
      lost: losing.signal,
      [Symbol.asyncDispose]: async () => {
        this.#held.delete(fence);
        try {
          await database.change('DELETE FROM hubgate.download WHERE digest = $1 AND fence = $2', [
            key,
            fence,
          ]);
        } catch (error) {
          log.debug({ reason: reasonOf(error) }, 'a lease could not be given back; it runs out');
        }
      },
    };
  }

  /** Renews all leases in one statement. Those that are not found any more are lost. */
  async #renew(): Promise<void> {
    if (this.#held.size === 0) return;
    const { database, nodes, limits, log } = this.#options;
    const fences = [...this.#held.keys()];
    try {
      const rows = await database.rows<{ fence: number }>(
        `UPDATE hubgate.download SET lease_until = now() + $3 * interval '1 ms'
          WHERE node = $1 AND fence = ANY ($2::bigint[]) RETURNING fence`,
        [nodes.own.id, fences.map(String), limits.lease],
      );
      const renewed = new Set(rows.map(({ fence }) => fence));
      for (const fence of fences) if (!renewed.has(fence)) this.#lose(fence);
    } catch (error) {
      // Nobody can take a lease while the database is away.
      log.debug({ reason: reasonOf(error) }, 'leases could not be renewed');
    }
  }

  #lose(fence: number): void {
    this.#held.get(fence)?.abort(new Error('another node has taken over this download'));
    this.#held.delete(fence);
  }
}
