import type { Mutant } from './mutant.ts';

const BLOB_TESTS = ['test/gateway/blob.test.ts', 'test/gateway/fill-readers.test.ts'];

/** The defences of the bytes on their way to a client. */
export const deliveryMutants: readonly Mutant[] = [
  {
    defence: 'the last bytes of a blob are held back until its digest is right',
    file: 'src/gateway/delivery/fill-progress.ts',
    find: '(this.#size ?? written) - HELD_BACK',
    replace: '(this.#size ?? written)',
    tests: BLOB_TESTS,
  },
  {
    defence: 'a response of the API has no headers except those of a fixed list',
    file: 'src/gateway/http/respond.ts',
    find: 'if (Object.hasOwn(PASSED, name)) ',
    replace: '',
    tests: ['test/gateway/respond.test.ts'],
  },
  {
    defence: 'a response of the API cannot be sniffed as another type',
    file: 'src/gateway/http/respond.ts',
    find: "...['x-content-type-options', 'nosniff'],",
    replace: '',
    tests: ['test/gateway/v2.test.ts', 'test/gateway/framing.test.ts'],
  },
  {
    defence: 'the cache owns bytes only if their digest is right',
    file: 'src/core/pull/fill.ts',
    find: ' && matchesDigest(hash, this.digest)',
    replace: '',
    tests: ['test/core/pull/fill.test.ts'],
  },
];
