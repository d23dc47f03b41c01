import type { Mutant } from './mutant.ts';

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
    find: 'await (error instanceof CacheFault || error',
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
    defence: 'doctor finds a cache that cannot be written',
    file: 'src/commands/doctor/server/disk.ts',
    find: 'if (core === undefined || core.cache.writable)',
    replace: 'if (true)',
    tests: ['test/commands/doctor/server.test.ts'],
  },
];
