import type { Mutant } from './mutant.ts';

const SHARED = ['test/core/pull/shared-download.test.ts'];

/** The defences of what is pulled: whose answer counts for whom, and what is served as what. */
export const pullMutants: readonly Mutant[] = [
  {
    defence: 'a refusal belongs to the repository that it was asked for',
    file: 'src/core/pull/download.ts',
    find: 'const running = this.#openings.get(repository);',
    replace: 'const running = [...this.#openings.values()][0];',
    tests: SHARED,
  },
  {
    defence: 'a fill that its repository refuses is interrupted, and not failed',
    file: 'src/core/pull/fill.ts',
    find: 'error instanceof RepositoryRefused ||',
    replace: '',
    tests: SHARED,
  },
  {
    defence: 'what a fill has left stays where another repository says no',
    file: 'src/core/pull/download.ts',
    find: "kind !== 'no' || (await this.#options.isLinked())",
    replace: "kind !== 'no'",
    tests: SHARED,
  },
];
