import { createReadStream } from 'node:fs';
import path from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { isErrno } from '../../platform/reason.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import { type Digest, matchesDigest, startHash } from '../../registry/digest.ts';
import { SCRUB } from '../limits.ts';
import type { Store } from './store.ts';

export interface ScrubOptions {
  readonly store: Store;
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const READ_SIZE = 1024 * 1024;

/**
 * Compares content with its digest in the background, beginning with content whose last check is longest ago.
 * Wrong content goes into quarantine.
 */
export function scrub({ store, directory, clock, log }: ScrubOptions): AsyncDisposable {
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
      const size = await check(digest, store, directory, signal).catch((error: Error) => {
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
async function check(digest: Digest, store: Store, directory: string, signal: AbortSignal): Promise<number> {
  const hash = startHash(digest);
  const found = await store.content.peek(digest);
  if (found === undefined) {
    await store.index.removeContent(digest);
    return 0;
  }
  const file = createReadStream(path.join(directory, found.file), { highWaterMark: READ_SIZE, signal });
  try {
    for await (const bytes of file) hash.update(bytes);
  } catch (error) {
    // The content was evicted meanwhile.
    if (isErrno(error, 'ENOENT')) return 0;
    throw error;
  }
  if (!matchesDigest(hash, digest)) await store.content.quarantine(digest);
  return file.bytesRead;
}
