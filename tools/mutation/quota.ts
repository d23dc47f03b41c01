import type { Mutant } from './mutant.ts';

const COUNTED = ['test/core/budget/counted-pulls.test.ts'];
const UPSTREAMS = 'src/core/upstream/upstreams.ts';

/** What a pull costs, and who bears it. */
export const quotaMutants: readonly Mutant[] = [
  {
    defence: 'a GET of a manifest is a pull, whatever the Hub says about a quota',
    file: UPSTREAMS,
    find: "return method === 'GET' && resource.startsWith('manifests/');",
    replace: 'return false;',
    tests: COUNTED,
  },
  {
    defence: 'a HEAD is no pull',
    file: UPSTREAMS,
    find: "return method === 'GET' && resource.startsWith('manifests/');",
    replace: "return resource.startsWith('manifests/');",
    tests: COUNTED,
  },
  {
    defence: 'a GET that the Hub turns away is no pull',
    file: 'src/core/upstream/charge.ts',
    find: 'if (this.#isSent && !this.#isTurnedAway) this.#requester',
    replace: 'if (this.#isSent) this.#requester',
    tests: COUNTED,
  },
];
