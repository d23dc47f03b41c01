/**
 * What gateways may remember of the core's answers: until when is told with each, and all of it ends when something is
 * withdrawn. What they give out of their memory is reported here, and counts as if it had been asked of the core.
 */
import { randomBytes } from 'node:crypto';
import type { Live } from '../platform/live.ts';
import type { Served } from '../registry/core-api.ts';
import { parseDigest } from '../registry/digest.ts';
import { parseReference } from '../registry/reference.ts';
import { repositoryOf, type UpstreamNames } from '../registry/repository.ts';
import type { RecentPulls } from './pull/recent-pulls.ts';
import type { Store } from './store/store.ts';

export interface RememberedOptions {
  readonly store: Store;
  readonly recent: RecentPulls;
  readonly names: UpstreamNames;
}

export interface Remembered {
  /** Of the cache. One that a core before this one told is never told again. */
  readonly state: Live<string>;
  /** Records what was given out: the id of the pull that it belongs to, where that can be told. */
  served(one: Served): string | undefined;
}

export function createRemembered({ store, recent, names }: RememberedOptions): Remembered {
  const run = randomBytes(8).toString('hex');
  const { withdrawals } = store.index;
  return {
    state: {
      get current() {
        return `${run}.${withdrawals.current}`;
      },
      changed: () => withdrawals.changed(),
    },
    served({ caller, upstream, path, kind, method, ...written }) {
      const repository = repositoryOf(upstream, path, names);
      const reference = parseReference(written.reference);
      const digest = parseDigest(written.digest);
      if (repository === undefined || reference === undefined || digest === undefined) return undefined;
      store.content.used(digest);
      if (caller === '') return undefined;
      return kind === 'blob'
        ? recent.ofBlob(caller, repository, digest)
        : recent.ofManifest(caller, repository, { reference, method, digest, bytes: undefined });
    },
  };
}
