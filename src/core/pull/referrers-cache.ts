import type { Clock } from '../../platform/clock.ts';
import type { ReadAccess } from '../../protocol/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Repository } from '../../registry/repository.ts';
import { judgeFreshness } from '../freshness/freshness.ts';
import type { DocumentEntry } from '../store/index-store.ts';
import type { Store } from '../store/store.ts';
import { storedAs } from './ask-document.ts';
import type { RepositoryLinks } from './repository-links.ts';
import { isAttestation } from './validate-document.ts';

export interface ReferrersCacheOptions {
  readonly store: Store;
  readonly links: RepositoryLinks;
  readonly clock: Clock;
  /** The longest age of an answer, in milliseconds. */
  readonly staleIfError: number;
}

/** The upstream's last answer about referrers. */
export interface CachedReferrers {
  /** Undefined if the upstream answered that there are none. */
  readonly bytes: Uint8Array | undefined;
  /** Seconds since the upstream's answer. */
  readonly age: number;
}

/** The largest answer that is stored, in bytes: about 1,000 descriptors. */
const MAX_STORED = 256 * 1024;

/** The shortest time in milliseconds between two writes of the same answer. */
const WRITE_AGAIN_AFTER = 60_000;

/**
 * Stores upstreams' answers about referrers, including that there are none, for times when they cannot be
 * asked. Clients ask for referrers before they run an image, and any answer except a list or a 404 makes
 * their whole pull fail.
 */
export class ReferrersCache {
  readonly #options: ReferrersCacheOptions;

  constructor(options: ReferrersCacheOptions) {
    this.#options = options;
  }

  /** Stores an answer. `bytes` is undefined if the upstream says that there are none. */
  async put(
    repository: Repository,
    resource: string,
    grant: ReadAccess,
    bytes: Uint8Array | undefined,
  ): Promise<void> {
    const { store, clock } = this.#options;
    const key = storedAs(resource, grant);
    const before = await store.index.document(repository.name, key);
    const entry = { bytes: bytes ?? Buffer.alloc(0), linkHeader: undefined, readAt: clock() };
    const isKnown = before !== undefined && Buffer.from(before.bytes).equals(entry.bytes);
    if (isKnown && clock() - before.readAt < WRITE_AGAIN_AFTER) return;
    if (entry.bytes.length <= MAX_STORED) await store.index.putDocument(repository.name, key, entry);
    else if (before !== undefined) await store.index.removeDocument(repository.name, key);
  }

  /** Returns the stored answer, whatever its age. */
  entry(repository: Repository, resource: string, grant: ReadAccess): Promise<DocumentEntry | undefined> {
    return this.#options.store.index.document(repository.name, storedAs(resource, grant));
  }

  async remove(repository: Repository, resource: string, grant: ReadAccess): Promise<void> {
    const key = storedAs(resource, grant);
    const { index } = this.#options.store;
    if ((await index.document(repository.name, key)) !== undefined)
      await index.removeDocument(repository.name, key);
  }

  /** Returns the answer that replaces the one of an unreachable upstream; undefined if there is none. */
  async recall(
    repository: Repository,
    resource: string,
    grant: ReadAccess,
  ): Promise<CachedReferrers | undefined> {
    const { links, clock, staleIfError } = this.#options;
    const entry = await this.entry(repository, resource, grant);
    const rules = { freshFor: 0, staleFor: staleIfError };
    if (entry === undefined || judgeFreshness(entry.readAt, clock(), rules) === 'expired') return undefined;
    if ((await links.visibility(repository, grant)).visible === 'unknown') return undefined;
    const age = Math.round((clock() - entry.readAt) / 1000);
    return { bytes: entry.bytes.length === 0 ? undefined : entry.bytes, age };
  }

  /**
   * True if this is the manifest of an attestation in the cache. Docker asks for the referrers of each
   * attestation that it pulls, and continues without them only after a 404. The core calls nothing else
   * unsigned unless the upstream has said so.
   */
  async isStoredAttestation(repository: Repository, digest: Digest, grant: ReadAccess): Promise<boolean> {
    const { store, links } = this.#options;
    const { link, visible } = await links.known(repository, 'manifest', digest, grant);
    if (link === undefined || visible === 'unknown') return false;
    const found = await store.content.findTyped(digest);
    if (found?.manifestType === undefined) return false;
    const bytes = await store.content.readFound(digest);
    return bytes !== undefined && isAttestation(bytes);
  }
}
