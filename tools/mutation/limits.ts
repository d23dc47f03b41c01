import type { Mutant } from './mutant.ts';

const LIMITS = 'src/access/limits.ts';
const READER = 'src/access/limit-reader.ts';
const LIMIT_TESTS = ['test/access/limits.test.ts'];
const MESSAGE_TESTS = ['test/gateway/quota-message.test.ts'];
const MISTAKE_TESTS = ['test/access/mistakes.test.ts'];

/** The defences of limits and reserves: whom they mean, and what an author cannot mean. */
export const limitsMutants: readonly Mutant[] = [
  {
    defence: 'a limit counts the pulls from its upstreams only',
    file: LIMITS,
    find: '(data.upstream === undefined || data.upstream.includes(question.upstream)) &&',
    replace: '',
    tests: LIMIT_TESTS,
  },
  {
    defence: 'whoever is excepted has no such limit',
    file: LIMITS,
    find: '    !isAmong(except, question) &&\n',
    replace: '',
    tests: LIMIT_TESTS,
  },
  {
    defence: 'a limit counts the pulls from its networks only',
    file: LIMITS,
    find: '(from === undefined || from.contains(question.address))',
    replace: 'true',
    tests: LIMIT_TESTS,
  },
  {
    defence: 'a reserve is of one upstream',
    file: LIMITS,
    find: 'reserves.filter(({ data }) => data.upstream === question.upstream)',
    replace: 'reserves',
    tests: LIMIT_TESTS,
  },
  {
    defence: 'a limit that is for nobody is refused',
    file: READER,
    find: 'if (except !== undefined && isCovered(to, except, groups))',
    replace: 'if (except === to)',
    tests: MISTAKE_TESTS,
  },
  {
    defence: 'reserves keep no more than there is',
    file: READER,
    find: 'if (reserve.keep - (1 - before) < TOLERANCE) return reserve;',
    replace: 'return reserve;',
    tests: MISTAKE_TESTS,
  },
  {
    defence: 'the core is asked about no more limits than it takes',
    file: READER,
    find: 'const surplus = entries[most];',
    replace: 'const surplus = entries[most * 1e9];',
    tests: LIMIT_TESTS,
  },
  {
    defence: 'a window lasts from a minute to 31 days',
    file: 'src/platform/windowed-amount.ts',
    find: 'windowMs < SHORTEST || windowMs > LONGEST',
    replace: 'windowMs < 0',
    tests: LIMIT_TESTS,
  },
  {
    defence: 'a test of limits names all that apply',
    file: 'src/access/policy-test.ts',
    find: "whyOthers('limits', test.limits, limitsFor(policy.limits, question)) ??",
    replace: '',
    tests: MISTAKE_TESTS,
  },
  {
    defence: 'an edit of a limit counts at once',
    file: 'src/gateway/authorization/policy-limits.ts',
    find: 'if (keptFor !== policy) kept.clear();',
    replace: '',
    tests: MESSAGE_TESTS,
  },
  {
    defence: 'a limit for each subject has a budget for each',
    file: 'src/gateway/authorization/policy-limits.ts',
    find: "const key = each ? `${id} ${hash('sha256', who, 'base64url')}` : id;",
    replace: 'const key = each ? id : who;',
    tests: MESSAGE_TESTS,
  },
  {
    defence: 'what is reserved is never more than all',
    file: 'src/gateway/authorization/policy-limits.ts',
    find: 'share: Math.min(1, Number(sum.toFixed(6)))',
    replace: 'share: sum + 1e-9',
    tests: MESSAGE_TESTS,
  },
  {
    defence: 'a client is not told a time before it has come',
    file: 'src/gateway/routes/quota-message.ts',
    find: 'Math.ceil(at / MINUTE)',
    replace: 'Math.floor(at / MINUTE)',
    tests: MESSAGE_TESTS,
  },
  {
    defence: 'an earlier manifest for one subject is not cached for others',
    file: 'src/gateway/clients/caching-core-client.ts',
    find: 'if (answer.held !== undefined) return answer;',
    replace: '',
    tests: ['test/gateway/local-core-client.test.ts'],
  },
  {
    defence: 'a client is not asked to wait longer than a minute',
    file: 'src/gateway/http/respond.ts',
    find: 'retryAfter <= LONGEST_RETRY_AFTER',
    replace: 'retryAfter <= LONGEST_RETRY_AFTER * 1e9',
    tests: ['test/gateway/quota.test.ts'],
  },
  {
    defence: 'the record names the limit that refused a pull',
    file: 'src/gateway/audit/audit-record.ts',
    find: '    ...(limit !== undefined && { limit }),\n',
    replace: '',
    tests: ['test/gateway/quota.test.ts'],
  },
  {
    defence: 'the record says why a tag was answered with an earlier image',
    file: 'src/gateway/audit/audit-record.ts',
    find: '    ...(held !== undefined && { held }),\n',
    replace: '',
    tests: ['test/gateway/quota.test.ts'],
  },
  {
    defence: 'explain shows the use of the budget of that subject',
    file: 'src/core/budget/limit-counts.ts',
    find: 'used: this.#limits.get(limit)?.table.total(key, now) ?? 0',
    replace: 'used: this.#limits.get(limit)?.table.largest(now) ?? 0',
    tests: ['test/commands/access.test.ts'],
  },
];
