import type { Mutant } from './mutant.ts';

const ACCOUNTS = ['test/core/upstream/accounts.test.ts'];
const BANDWIDTH = ['test/core/pull/bandwidth.test.ts'];
const TURNS = ['test/core/upstream/turns.test.ts'];
const CONFIG = ['test/config/accounts.test.ts'];

/** The defences of several accounts for one upstream, and of the shares of its connections. */
export const accountsMutants: readonly Mutant[] = [
  {
    defence: 'no role but the core is given the logins of accounts',
    file: 'src/config/config.ts',
    find: 'accounts: _none, ',
    replace: '',
    tests: CONFIG,
  },
  {
    defence: 'one account is not listed under two names, and so counted twice',
    file: 'src/config/upstream-logins.ts',
    find: 'first !== undefined && first !== name',
    replace: 'false',
    tests: CONFIG,
  },
  {
    defence: 'an account is never for the repositories of another upstream',
    file: 'src/config/upstream-logins.ts',
    find: "'wrong' in read || read.pattern.startsWith(`${host}/`)",
    replace: 'true',
    tests: CONFIG,
  },
  {
    defence: 'with a core of another program, accounts, quota and bandwidth are refused',
    file: 'src/config/upstream-logins.ts',
    find: 'if (!externalCore) return;',
    replace: 'return;',
    tests: CONFIG,
  },
  {
    defence: 'the password files of accounts are judged like the others',
    file: 'src/config/config.ts',
    find: 'return credential === undefined ? all :',
    replace: 'return credential === undefined ? [] :',
    tests: CONFIG,
  },
  {
    defence: 'an account with `only` is used for nothing else',
    file: 'src/core/upstream/upstream-accounts.ts',
    find: 'accounts.filter(({ only }) => only === undefined)',
    replace: 'accounts',
    tests: ACCOUNTS,
  },
  {
    defence: 'for the repositories of an account with `only`, no other account is used',
    file: 'src/core/upstream/upstream-accounts.ts',
    find: 'named.length > 0 ? named :',
    replace: 'named.length > 0 ? accounts :',
    tests: ACCOUNTS,
  },
  {
    defence: 'an account whose credential is refused is passed over',
    file: 'src/core/upstream/upstreams.ts',
    find: 'isOfAccount(answer) ? others : []',
    replace: '[]',
    tests: ACCOUNTS,
  },
  {
    defence: 'a refusal of a repository is asked of no other account',
    file: 'src/core/upstream/upstreams.ts',
    find: 'for (const account of isOfAccount(answer) ? others : [])',
    replace: "for (const account of answer.kind !== 'ok' ? others : [])",
    tests: ACCOUNTS,
  },
  {
    defence: 'an account is kept for a minute, because tokens are cached for each',
    file: 'src/core/upstream/upstream-accounts.ts',
    find: 'now < kept.since + ACCOUNT_KEPT_FOR',
    replace: 'false',
    tests: ACCOUNTS,
  },
  {
    defence: 'an account with nothing left is passed over',
    file: 'src/core/upstream/upstream-accounts.ts',
    find: '!account.isRefused && this.#left(account) > 0',
    replace: '!account.isRefused',
    tests: ACCOUNTS,
  },
  {
    defence: 'the audit log names the account that was used',
    file: 'src/gateway/clients/local-core-client.ts',
    find: "...(typeof account === 'string' && { account }),",
    replace: '',
    tests: ['test/gateway/upstream-accounts.test.ts'],
  },
  {
    defence: 'fills are no faster than the bandwidth of their upstream',
    file: 'src/core/pull/receive-blob.ts',
    find: 'isFree ? undefined : bandwidth?.pace(pieces, signal)',
    replace: 'undefined as AsyncIterable<Buffer> | undefined',
    tests: BANDWIDTH,
  },
  {
    defence: 'parts of blobs count on the bandwidth of their upstream',
    file: 'src/core/pull/pull-part.ts',
    find: 'if (bandwidth === undefined) return true;',
    replace: 'if (bandwidth !== undefined) return true;',
    tests: BANDWIDTH,
  },
  {
    defence: 'downloads share a bandwidth by bytes, and not by pieces',
    file: 'src/core/pull/bandwidth.ts',
    find: 'turn.left -= bytes.length;',
    replace: 'turn.left = 0;',
    tests: BANDWIDTH,
  },
  {
    defence: 'unused bandwidth is not saved up',
    file: 'src/core/pull/bandwidth.ts',
    find: 'Math.min(this.#most, this.#left + passed * this.#rate)',
    replace: 'this.#left + passed * this.#rate',
    tests: BANDWIDTH,
  },
  {
    defence: 'one timer serves all downloads that wait for bandwidth',
    file: 'src/core/pull/bandwidth.ts',
    find: 'this.#timer !== undefined || this.#waiting.size === 0',
    replace: 'this.#waiting.size === 0',
    tests: BANDWIDTH,
  },
  {
    defence: 'many questions of one subject do not delay those of another',
    file: 'src/core/upstream/subject-queues.ts',
    find: 'concurrentEach: CONNECTIONS.each,',
    replace: 'concurrentEach: CONNECTIONS.most,',
    tests: TURNS,
  },
  {
    defence: 'one subject does not fill the queue of an upstream',
    file: 'src/core/upstream/subject-queues.ts',
    find: 'Math.ceil(waiting * CONNECTIONS.waitingEach)',
    replace: 'waiting',
    tests: TURNS,
  },
  {
    defence: 'nobody downloads more into the cache than one may',
    file: 'src/core/pull/bounded-downloads.ts',
    find: '?? this.#refusal(spender)',
    replace: '',
    tests: ['test/core/pull/bounded-downloads.test.ts'],
  },
  {
    defence: 'the bound on downloads is one of each subject',
    file: 'src/core/pull/bounded-downloads.ts',
    find: "if (subjectKey === '') return;",
    replace: '',
    tests: ['test/core/pull/bounded-downloads.test.ts'],
  },
];
