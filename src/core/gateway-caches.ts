/**
 * The part of the core that lets gateways cache its answers. Each answer comes with its max age, and an
 * invalidation ends all of them. Gateways report their cache hits here, and a hit counts as a request to the
 * core.
 */
import { randomBytes } from 'node:crypto';
import type { ObservableValue } from '../platform/observable-value.ts';
import type { CacheHit } from '../protocol/core-api.ts';
import { parseDigest } from '../registry/digest.ts';
import { parseReference } from '../registry/reference.ts';
import { repositoryOf, type UpstreamNames } from '../registry/repository.ts';
import type { RecentPulls } from './pull/recent-pulls.ts';
import type { Store } from './store/store.ts';

export interface GatewayCachesOptions {
  readonly store: Store;
  readonly recent: RecentPulls;
  readonly names: UpstreamNames;
}

export interface GatewayCaches {
  /** The generation of the cache. It is never the same as one of an earlier run of the core. */
  readonly generation: ObservableValue<string>;
  /** Records a cache hit. Returns the id of the pull that it belongs to; undefined if that is unknown. */
  recordHit(one: CacheHit): string | undefined;
}

export function createGatewayCaches({ store, recent, names }: GatewayCachesOptions): GatewayCaches {
  const run = randomBytes(8).toString('hex');
  const { invalidations } = store.index;
  return {
    generation: {
      get current() {
        return `${run}.${invalidations.current}`;
      },
      changed: () => invalidations.changed(),
    },
    recordHit({ caller, upstream, path, kind, method, ...written }) {
      const repository = repositoryOf(upstream, path, names);
      const reference = parseReference(written.reference);
      const digest =
        reference?.kind === 'digest' && written.digest === written.reference
          ? reference.digest
          : parseDigest(written.digest);
      if (repository === undefined || reference === undefined || digest === undefined) return undefined;
      store.content.used(digest);
      if (caller === '') return undefined;
      return kind === 'blob'
        ? recent.ofBlob(caller, repository, digest)
        : recent.ofManifest(caller, repository, { reference, method, digest, bytes: undefined });
    },
  };
}
