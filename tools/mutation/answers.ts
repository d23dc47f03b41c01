import type { Mutant } from './mutant.ts';

/** The defences of what a refusal says, and of who asks where a login and a certificate come together. */
export const answersMutants: readonly Mutant[] = [
  {
    defence: 'a subject that the policy denies is answered 403 whatever its token was issued for',
    file: 'src/gateway/permission/permit.ts',
    find: "return admission.subject.kind === 'anonymous'",
    replace: 'return admission.repositories !== undefined',
    tests: ['test/gateway/v2.test.ts'],
  },
  {
    defence: 'nobody’s token is answered 401 where the policy denies it, because a login could help',
    file: 'src/gateway/permission/permit.ts',
    find: "return admission.subject.kind === 'anonymous'",
    replace: 'return false',
    tests: ['test/gateway/v2.test.ts'],
  },
  {
    defence: 'the reason of a deny reaches clients that drop the body of a 401',
    file: 'src/gateway/routes/v2.ts',
    find: '...(reason && because !== undefined && { description: because }),',
    replace: '',
    tests: ['test/gateway/v2.test.ts'],
  },
  {
    defence: 'a description cannot end its parameter and begin another one',
    file: 'src/registry/challenge.ts',
    find: "TYPOGRAPHIC[character] ?? '?'",
    replace: 'character',
    tests: ['test/registry/challenge.test.ts'],
  },
  {
    defence: 'a description is short enough for a header',
    file: 'src/registry/challenge.ts',
    find: 'plain.length <= LONGEST_DESCRIPTION',
    replace: 'true',
    tests: ['test/registry/challenge.test.ts'],
  },
];
