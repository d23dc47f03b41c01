import type { Mutant } from './mutant.ts';

const FAIR = ['test/core/pull/fair-fills.test.ts'];
const FULL_DISK = ['test/gateway/full-disk.test.ts'];

/** The defences of pulls against a disk that is full or cannot be written, and of the disk against the cache. */
export const diskMutants: readonly Mutant[] = [
  {
    defence: 'while the cache cannot be written no fill begins',
    file: 'src/core/pull/pull-blob.ts',
    find: 'if (running === undefined && this.#options.writes.isFailing)',
    replace: 'if (false)',
    tests: FULL_DISK,
  },
  {
    defence: 'a fill that cannot be written goes on past the cache',
    file: 'src/core/pull/fill.ts',
    find: 'if (error instanceof CacheFault) writes.failed(error);',
    replace: 'if (false) writes.failed(error);',
    tests: FULL_DISK,
  },
  {
    defence: 'a download that cannot be written leaves nothing on the full disk',
    file: 'src/core/pull/fill.ts',
    find: 'await (isOfCache(error) || error',
    replace: 'await (error',
    tests: FULL_DISK,
  },
  {
    defence: 'the cache is tried again after a failure',
    file: 'src/core/pull/cache-writes.ts',
    find: 'this.#probing = this.#probe();',
    replace: '',
    tests: FULL_DISK,
  },
  {
    defence: 'the audit line states that a pull went past the cache in the middle',
    file: 'src/gateway/routes/v2.ts',
    find: "howItCame(last.kind === 'blob-stream' ? last : answer)",
    replace: 'howItCame(answer)',
    tests: FULL_DISK,
  },
  {
    defence: 'the size of the cache is kept although all of it was used within a minute',
    file: 'src/core/eviction/sweep.ts',
    find: 'await this.#evictUntil(plan.inUse.before, evicted, plan.inUse.bytes);',
    replace: '',
    tests: ['test/core/eviction/sweep.test.ts'],
  },
  {
    defence: 'the cache is looked at soon after it has grown',
    file: 'src/core/eviction/sweep.ts',
    find: 'store.content.onPublished = () => this.#later();',
    replace: '',
    tests: ['test/core/eviction/sweep.test.ts'],
  },
  {
    defence: 'a blob that is larger than the cache may be is not stored',
    file: 'src/core/eviction/cache-space.ts',
    find: 'size <= measured.most && this.#fits(measured, size - left)',
    replace: 'true',
    tests: ['test/core/eviction/sweep.test.ts'],
  },
  {
    defence: 'a fill of an unannounced size is bounded',
    file: 'src/core/eviction/cache-space.ts',
    find: 'if (written > most)',
    replace: 'if (false)',
    tests: ['test/core/eviction/sweep.test.ts'],
  },
  {
    defence: 'the automatic size counts what the cache holds already',
    file: 'src/core/eviction/cache-limit.ts',
    find: 'Math.floor(used + free - reserve)',
    replace: 'Math.floor(free - reserve)',
    tests: ['test/core/eviction/eviction.test.ts'],
  },
  {
    defence: 'room is made for a blob before it is written',
    file: 'src/core/eviction/cache-space.ts',
    find: 'await makeRoom(Math.max(0, size - left));',
    replace: '',
    tests: FULL_DISK,
  },
  {
    defence: 'one caller cannot have all downloads of an upstream',
    file: 'src/core/pull/fill-places.ts',
    find: 'return this.#free > 0 && (this.#taken.get(caller) ?? 0) < this.#bounds.placesPerCaller;',
    replace: 'return this.#free > 0;',
    tests: FAIR,
  },
  {
    defence: 'a place goes to the waiting caller who has the fewest',
    file: 'src/core/pull/fill-places.ts',
    find: 'taken(caller) < taken(best))',
    replace: 'false)',
    tests: FAIR,
  },
  {
    defence: 'the queue for downloads is bounded for each caller',
    file: 'src/core/pull/fill-places.ts',
    find: 'queue.size >= this.#bounds.queuedPerCaller',
    replace: 'false',
    tests: FAIR,
  },
  {
    defence: 'a download that nobody reads gives way while others wait',
    file: 'src/core/pull/fill.ts',
    find: 'this.#givingWay.abort();',
    replace: '',
    tests: FAIR,
  },
  {
    defence: 'doctor finds a cache that cannot be written',
    file: 'src/commands/doctor/server/disk.ts',
    find: 'if (core === undefined || core.cache.writable)',
    replace: 'if (true)',
    tests: ['test/commands/doctor/server.test.ts'],
  },
];
