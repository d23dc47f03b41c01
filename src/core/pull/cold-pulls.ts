import { throwIfNobodyWaits } from '../../platform/scheduling/waiters.ts';
import type { Repository } from '../../registry/repository.ts';
import type { RegistryClient } from '../upstream/registry-client.ts';
import type { Requester } from '../upstream/requester.ts';
import { ReservedPull } from '../upstream/reserved-pull.ts';
import { type PullOutcome, refusalOf } from './outcome.ts';

/** A pull of a manifest that is not cached in the repository. */
export interface ColdPull<T> {
  readonly key: string;
  readonly pull: (by: Requester) => Promise<PullOutcome<T>>;
  /** Begins anew, after another requester's pull of the same has ended. */
  readonly again: () => Promise<PullOutcome<T>>;
  /**
   * True if the content is cached, and it is only unknown whether this caller may find it in the repository.
   * A tag names such content if another caller has pulled it with private access.
   */
  readonly isCached?: boolean;
}

/** The pulls of manifests that are not cached. A requester that may not begin one can wait for another's. */
export class ColdPulls {
  readonly #client: Pick<RegistryClient, 'reservePull'>;
  readonly #running = new Map<string, Promise<void>>();

  constructor(client: Pick<RegistryClient, 'reservePull'>) {
    this.#client = client;
  }

  /**
   * Pulls what is not cached, and so costs a pull. A requester that may not pull is refused before the
   * upstream is asked, so the refusal is the same whether or not the content exists. It may wait for the pull
   * of another one that has begun already.
   */
  async pull<T>(
    repository: Repository,
    requester: Requester,
    { key, pull, again, isCached = false }: ColdPull<T>,
  ): Promise<PullOutcome<T>> {
    const other = this.ended(key);
    const reserved = this.#client.reservePull(repository, requester);
    if (reserved instanceof ReservedPull) {
      using own = reserved;
      // One pull is enough for all who pull the same.
      if (other !== undefined) own[Symbol.dispose]();
      return await this.run(key, () => pull({ ...requester, takenPull: own }));
    }
    if (other !== undefined) {
      await other;
      throwIfNobodyWaits();
      const outcome = await again();
      return outcome.kind === 'found' && outcome.cache === 'hit' ? { ...outcome, cache: 'joined' } : outcome;
    }
    // A HEAD costs nothing, and may show that the repository contains what another one has brought here.
    const free = isCached ? await pull(requester) : undefined;
    return free?.kind === 'found' ? free : refusalOf(reserved, 'MANIFEST_UNKNOWN');
  }

  async run<T>(key: string, pull: () => Promise<T>): Promise<T> {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    this.#running.set(key, ended);
    try {
      return await pull();
    } finally {
      if (this.#running.get(key) === ended) this.#running.delete(key);
      end();
    }
  }

  /** Resolves when the pull that is under way has ended. Undefined if there is none. */
  ended(key: string): Promise<void> | undefined {
    return this.#running.get(key);
  }
}
