import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import { type Digest, matchesDigest, startHash } from '../../registry/digest.ts';
import { SCRUB } from '../limits.ts';
import type { Store } from './store.ts';

export interface ScrubOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Compares content with its digest in the background, beginning with content whose last check is longest ago.
 * Wrong content goes into quarantine.
 */
export function scrub({ store, clock, log }: ScrubOptions): AsyncDisposable {
  const startedAt = clock();
  let urgent = store.wasUnclean;
  return runPeriodically(
    0,
    async (signal) => {
      const digest = await store.index.uncheckedSince(urgent ? startedAt : clock() - SCRUB.recheckAfter);
      if (digest === undefined) {
        urgent = false;
        return SCRUB.idle;
      }
      const size = await check(digest, store, signal).catch((error: Error) => {
        if (!signal.aborted)
          log.error({ digest, err: error }, 'content in the cache cannot be compared with its digest');
        return undefined;
      });
      // This also happens after a failure, because content that cannot be read or quarantined must not delay
      // the rest.
      if (!signal.aborted) await store.index.putChecked(digest, clock());
      return size === undefined
        ? SCRUB.afterFailure
        : Math.ceil((size * 1000) / (urgent ? SCRUB.urgentPace : SCRUB.pace));
    },
    log,
  );
}

/** Resolves to the number of bytes that were read. */
async function check(digest: Digest, { content, index }: Store, signal: AbortSignal): Promise<number> {
  const bytes = await content.open(digest, { signal });
  if (bytes === undefined) {
    await index.removeContent(digest);
    return 0;
  }
  const hash = startHash(digest);
  let size = 0;
  for await (const chunk of bytes) {
    hash.update(chunk);
    size += chunk.length;
  }
  if (!matchesDigest(hash, digest)) await content.quarantine(digest);
  return size;
}
