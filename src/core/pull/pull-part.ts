import { Deadline } from '../../platform/scheduling/deadline.ts';
import type { Digest } from '../../registry/digest.ts';
import { parseRange } from '../../registry/range.ts';
import type { Repository, UpstreamHost } from '../../registry/repository.ts';
import type { Budgets } from '../budget/budgets.ts';
import { BLOB_PART, type CoreLimits } from '../limits.ts';
import type { RegistryClient } from '../upstream/registry-client.ts';
import type { Requester } from '../upstream/requester.ts';
import type { Bandwidth } from './bandwidth.ts';
import type { Fill } from './fill.ts';

/**
 * A part of a blob that is not in the cache yet. It is not verified, because only a whole blob can be
 * (docs/decisions/0009).
 */
export interface PulledPart {
  readonly blob: 'part';
  readonly start: number;
  /** The offset after its last byte. */
  readonly end: number;
  /** The size of the whole blob. */
  readonly size: number;
  readonly bytes: Buffer;
}

/** Decides about the bytes of downloads, and counts them. */
export type DownloadBudgets = Pick<Budgets, 'mayDownload' | 'chargeBytes'>;

export interface PartPullOptions {
  readonly client: RegistryClient;
  readonly budgets: DownloadBudgets;
  /** The limits on the bandwidth of upstreams, of those that have one. */
  readonly bandwidths: ReadonlyMap<UpstreamHost, Bandwidth>;
  readonly limits: Pick<CoreLimits, 'question'>;
}

/**
 * Fetches small parts of blobs that are far beyond the progress of their fills, such as the table of contents
 * at the end of an eStargz layer. They come from the upstream beside the fill, and are not cached.
 */
export class PartPull {
  readonly #options: PartPullOptions;
  #running = 0;

  constructor(options: PartPullOptions) {
    this.#options = options;
  }

  /** Returns undefined if the caller must wait for the fill. */
  async pull(
    repository: Repository,
    digest: Digest,
    fill: Pick<Fill, 'size' | 'written'>,
    range: string,
    requester: Requester,
  ): Promise<PulledPart | undefined> {
    // A client that resumes a download asks for all remaining bytes. It must not complete its file with
    // unverified bytes.
    if (range.endsWith('-')) return undefined;
    const { size } = fill;
    const part = size === undefined ? undefined : parseRange(range, size);
    if (size === undefined || part === undefined || part === 'unsatisfiable') return undefined;
    const { start, end } = part;
    if (end - start > BLOB_PART.most || start - fill.written < BLOB_PART.beyond) return undefined;
    if (this.#running >= BLOB_PART.atATime) return undefined;
    const { spender } = requester;
    const { budgets } = this.#options;
    if (budgets.mayDownload(spender) !== undefined) return undefined;
    this.#running++;
    try {
      if (!(await this.#isTurnOf(repository.upstream, end - start))) return undefined;
      // The fill was confirmed for this caller, so the account may ask for it.
      const ask = { as: 'account', requester, start, end, size } as const;
      const answer = await this.#options.client.getBlobPart(repository, digest, ask);
      if (answer.kind !== 'ok') return undefined;
      budgets.chargeBytes(spender, answer.value.length);
      return { blob: 'part', start, end, size, bytes: answer.value };
    } finally {
      this.#running--;
    }
  }

  /** Waits for as many bytes of the upstream's bandwidth. Resolves to false if that takes too long. */
  async #isTurnOf(upstream: UpstreamHost, bytes: number): Promise<boolean> {
    const bandwidth = this.#options.bandwidths.get(upstream);
    if (bandwidth === undefined) return true;
    using deadline = new Deadline(this.#options.limits.question);
    return bandwidth.take(bytes, deadline.signal).then(
      () => true,
      () => false,
    );
  }
}
