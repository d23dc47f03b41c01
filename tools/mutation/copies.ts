import type { Mutant } from './mutant.ts';

const COPIES = ['test/cluster/copies.cluster.ts'];

/** The defences of a cluster against what its database says of copies and downloads, and what is not so. */
export const copiesMutants: readonly Mutant[] = [
  {
    defence: 'a copy with wrong bytes is not asked for again',
    file: 'src/core/pull/blob-downloads.ts',
    find: 'if (fill?.isWrong === true) await',
    replace: 'if (fill?.isWrong === undefined) await',
    tests: COPIES,
  },
  {
    defence: 'a node that starts again waits for no lease of its earlier run',
    file: 'src/cluster/nodes.ts',
    find: '      await nodes.#endEarlierDownloads();\n',
    replace: '',
    tests: COPIES,
  },
  {
    defence: 'a node that has just taken a lease looks for copies again',
    file: 'src/core/cluster/sources.ts',
    find: 'if (late !== undefined) {',
    replace: 'if (late === null) {',
    tests: COPIES,
  },
];
