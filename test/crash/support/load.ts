import type { CoreAnswer, CoreClient } from '../../../src/gateway/clients/core-client.ts';
import type { BlobReader } from '../../../src/gateway/delivery/blob-reader.ts';
import type { Digest } from '../../../src/registry/digest.ts';
import type { Reference } from '../../../src/registry/reference.ts';
import type { Catalogue, Listing } from './catalogue.ts';
import type { Ledger } from './ledger.ts';
import type { Random } from './random.ts';
import { type BlobRead, readBlob } from './read-blob.ts';
import type { Tally } from './tally.ts';

export interface PullerOptions {
  readonly core: CoreClient;
  readonly catalogue: Catalogue;
  readonly ledger: Ledger;
  readonly tally: Tally;
  readonly random: Random;
  /** True if it reads every blob to its end. */
  readonly patient?: boolean;
}

/**
 * The most requests for one blob. Each takes a millisecond or two, so they last until even a slow disk has
 * published a fill.
 */
const MANY_ASKS = 500;
const READ_SIZE = 256 * 1024;
const MIB = 1024 * 1024;

/** Clients that pull one image after the other until `stop` is called. */
export class Load {
  readonly ended: Promise<unknown>;
  #stopped = false;

  constructor(options: PullerOptions, clients: number) {
    const { catalogue, ledger, tally } = options;
    const work = async (random: Random) => {
      const puller = new Puller({ ...options, random }, () => this.#stopped);
      while (!this.#stopped && tally.faults.length === 0) {
        const missing = catalogue.listings.filter((listing) => !isPromised(listing, ledger));
        const choices = missing.length === 0 || random.chance(0.2) ? catalogue.listings : missing;
        await puller.pull(random.pick(choices));
      }
    };
    this.ended = Promise.all(Array.from({ length: clients }, () => work(options.random.fork())));
  }

  /** Stops the load before the core is killed, because failures from now on are expected. */
  stop(): void {
    this.#stopped = true;
  }
}

function isPromised({ image }: Listing, { promised }: Ledger): boolean {
  return [...image.manifests.map(({ digest }) => digest), ...image.blobs.keys()].every((digest) =>
    promised.has(digest),
  );
}

/** One client. It knows the right bytes, and which failures are allowed. */
export class Puller {
  readonly #options: PullerOptions;
  readonly #stopped: () => boolean;
  readonly #buffer = Buffer.allocUnsafe(READ_SIZE);

  constructor(options: PullerOptions, stopped: () => boolean = () => false) {
    this.#options = options;
    this.#stopped = stopped;
  }

  /** Pulls an image as docker does, and some blobs again and again until the core has them. */
  async pull(listing: Listing): Promise<void> {
    const { random } = this.#options;
    const { manifests, blobs } = listing.image;
    for (const [number, { digest }] of manifests.entries()) {
      if (this.#stopped()) return;
      await this.manifest(listing, digest, number === 0 ? 'tag' : 'digest');
    }
    for (const digest of random.shuffle(blobs.keys())) {
      if (this.#stopped()) return;
      await this.blob(listing, digest);
      if (random.chance(0.5)) await this.#untilItIsKept(listing, digest);
    }
  }

  async #untilItIsKept(listing: Listing, digest: Digest): Promise<void> {
    const { promised } = this.#options.ledger;
    for (let asks = MANY_ASKS; asks > 0 && !this.#stopped() && !promised.has(digest); asks--)
      if (!(await this.blob(listing, digest, 'at its place'))) return;
  }

  /** Returns true if the manifest is there and right. */
  manifest(listing: Listing, digest: Digest, by: Reference['kind']): Promise<boolean> {
    const { core, catalogue, ledger, tally } = this.#options;
    const { repository, tag, private: reachesPrivate } = listing;
    const reference: Reference = by === 'tag' ? { kind: by, tag } : { kind: by, digest };
    return this.#attempt(digest, async () => {
      const route = { kind: 'manifest', repository, reference } as const;
      const answer = await core.pull(route, { method: 'GET', private: reachesPrivate });
      if (answer.kind !== 'manifest') return this.#refused(digest, answer);
      const right =
        answer.digest === digest && answer.bytes?.equals(catalogue.contents.get(digest) ?? NOTHING);
      if (right !== true) tally.fault(`${digest}: a wrong manifest`);
      tally.count('manifests answered');
      ledger.promise(digest);
      return right === true;
    });
  }

  /**
   * Returns true if the blob was read to its end and is right. A blob that is not yet in its place need not
   * be read again.
   */
  blob(
    { repository, private: reachesPrivate }: Listing,
    digest: Digest,
    where: 'anywhere' | 'at its place' = 'anywhere',
  ): Promise<boolean> {
    const { core, ledger } = this.#options;
    return this.#attempt(digest, async () => {
      const route = { kind: 'blob', repository, digest } as const;
      const answer = await core.pull(route, { method: 'GET', private: reachesPrivate });
      if (answer.kind !== 'blob') return this.#refused(digest, answer);
      await using source = answer.source;
      if (!source.filling) ledger.promise(digest);
      else if (where === 'at its place') return true;
      return await this.#read(source, digest);
    });
  }

  async #read(source: BlobReader, digest: Digest): Promise<boolean> {
    const { catalogue, tally, random, patient = false } = this.#options;
    const expected = catalogue.contents.get(digest) ?? NOTHING;
    const leaveAt = !patient && random.chance(0.1) ? random.below(expected.length) : Number.POSITIVE_INFINITY;
    const read = await readBlob(source, expected, { buffer: this.#buffer, leaveAt });
    tally.count('MiB checked by readers', read.bytes / MIB);
    if (!read.complete) tally.count('readers that left');
    else tally.count(source.filling ? 'blobs answered from a fill' : 'blobs answered from the cache');
    return this.#judge(read, source, digest);
  }

  #judge({ right, complete }: BlobRead, { filling }: BlobReader, digest: Digest): boolean {
    const { ledger, tally } = this.#options;
    // If the Hub has given a blob wrongly, a reader may have received wrong bytes, but never the last ones.
    if (!right && (complete || !ledger.troubled.has(digest)))
      tally.fault(`${digest}: wrong bytes were served${complete ? ' to the end' : ''}`);
    if (complete && filling) ledger.filled();
    return complete && right;
  }

  #refused(digest: Digest, answer: CoreAnswer): false {
    const { ledger, tally } = this.#options;
    const error = answer.kind === 'refused' ? answer.error : `an answer of the kind ${answer.kind}`;
    const excused = ledger.troubled.has(digest) && error.startsWith('UPSTREAM_');
    if (excused) tally.count('answers failed by the Hub');
    else tally.fault(`${digest}: ${error}`);
    return false;
  }

  async #attempt(digest: Digest, ask: () => Promise<boolean>): Promise<boolean> {
    const { ledger, tally } = this.#options;
    try {
      return await ask();
    } catch (error) {
      if (this.#stopped()) tally.count('answers cut short by the crash');
      else if (ledger.troubled.has(digest)) tally.count('answers failed by the Hub');
      else tally.fault(`${digest}: ${(error as Error).stack}`);
      return false;
    }
  }
}

const NOTHING = Buffer.alloc(0);
