import type { Mutant } from './mutant.ts';

const COUNTED = ['test/core/budget/counted-pulls.test.ts'];
const REFUSED = ['test/core/budget/over-budget.test.ts'];
const UPSTREAMS = 'src/core/upstream/upstreams.ts';
const CHARGE = 'src/core/upstream/charge.ts';
const TAG = 'src/core/pull/pull-tag.ts';
const COLD = 'src/core/pull/cold-pulls.ts';
const BLOB = 'src/core/pull/pull-blob.ts';
const DOWNLOADS = 'src/core/pull/blob-downloads.ts';

/** What a pull costs, who bears it, and who is refused for it. */
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
    file: CHARGE,
    find: 'if (this.#isSent && !this.#isTurnedAway) this.#requester',
    replace: 'if (this.#isSent) this.#requester',
    tests: COUNTED,
  },
  {
    defence: 'a tag that a private pull has moved is answered by what is cached',
    file: TAG,
    find: "known.visible !== 'unknown' && (await this.#isCached(known.entry))",
    replace: 'false',
    tests: REFUSED,
  },
  {
    defence: 'a private tag that is cached is not asked for by a caller that may not pull',
    file: TAG,
    find: "known.visible !== 'unknown' && (await this.#isCached(known.entry))",
    replace: 'await this.#isCached(known.entry)',
    tests: REFUSED,
  },
  {
    defence: 'a pull that was not sent is given back',
    file: 'src/core/upstream/reserved-pull.ts',
    find: 'taken?.giveBack();',
    replace: '',
    tests: REFUSED,
  },
  {
    defence: 'a refusal is decided before the upstream is asked',
    file: TAG,
    find: 'if (!isCold) return pull(requester);',
    replace: 'if (!isCold || isCold) return pull(requester);',
    tests: REFUSED,
  },
  {
    defence: 'each of many pulls takes its own pull before the upstream is asked',
    file: COLD,
    find: 'pull({ ...requester, takenPull: own })',
    replace: 'pull((own[Symbol.dispose](), requester))',
    tests: REFUSED,
  },
  {
    defence: 'a requester that may not pull waits for the pull of another one',
    file: COLD,
    find: '      await other;\n',
    replace: '',
    tests: REFUSED,
  },
  {
    defence: 'a refusal is the same if what the repository lacks is cached because of another one',
    file: COLD,
    find: "return free?.kind === 'found' ? free : refusalOf(reserved, 'MANIFEST_UNKNOWN');",
    replace: "return free ?? refusalOf(reserved, 'MANIFEST_UNKNOWN');",
    tests: REFUSED,
  },
  {
    defence: 'a HEAD of a tag that has moved names the digest that the requester may have',
    file: TAG,
    find: "if (method === 'HEAD' && usable !== undefined && !isSame) {",
    replace: 'if (false) {',
    tests: REFUSED,
  },
  {
    defence: 'the tag of referrers is never cold',
    file: TAG,
    find: 'if (referrersSubject(tag) !== undefined) return false;',
    replace: '',
    tests: REFUSED,
  },
  {
    defence: 'after a 429 no cold pull asks the upstream',
    file: 'src/core/upstream/account-pulls.ts',
    find: 'if (refusal !== undefined) continue;',
    replace: '',
    tests: REFUSED,
  },
  {
    defence: 'the result of a question that is for its first caller alone is not shared',
    file: 'src/platform/scheduling/single-flight.ts',
    find: 'if (!this.#isPersonal(joined)) return joined;',
    replace: 'return joined;',
    tests: ['test/platform/single-flight.test.ts'],
  },
  {
    defence: 'a blob is refused before the upstream is asked',
    file: BLOB,
    find: 'if (refusal !== undefined && isUnknownHere && !isElsewhere) return refusal;',
    replace: '',
    tests: REFUSED,
  },
  {
    defence: 'a download is charged to the requester that began it',
    file: DOWNLOADS,
    find: 'budgets.chargeBytes(requester.spender, bytes);',
    replace: '{};',
    tests: REFUSED,
  },
  {
    defence: 'the audit log says which limit refused a pull',
    file: 'src/gateway/audit/audit-record.ts',
    find: '...(limit !== undefined && { limit }),',
    replace: '',
    tests: ['test/gateway/careless-job.test.ts'],
  },
];
