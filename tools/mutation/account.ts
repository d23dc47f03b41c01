import type { Mutant } from './mutant.ts';

const SESSIONS = 'src/auth/identity/sessions.ts';
const ROUTES = 'src/auth/routes/account.ts';
const TOKENS = 'src/auth/admin/personal-tokens.ts';
const AUTH_TESTS = ['test/auth/account.test.ts'];

/** The defences of the account page. */
export const accountMutants: readonly Mutant[] = [
  {
    defence: 'a session ends with its credential',
    file: SESSIONS,
    find: 'isTooNew(stored, now) || !isInForce(stored)',
    replace: 'isTooNew(stored, now)',
    tests: AUTH_TESTS,
  },
  {
    defence: 'a session ends when nobody uses it',
    file: SESSIONS,
    find: 'Math.min(expiresAt, usedAt + SESSIONS.idle)',
    replace: 'expiresAt',
    tests: AUTH_TESTS,
  },
  {
    defence: 'a session ends after eight hours',
    file: SESSIONS,
    find: 'Math.min(expiresAt, usedAt + SESSIONS.idle)',
    replace: 'usedAt + SESSIONS.idle',
    tests: AUTH_TESTS,
  },
  {
    defence: 'only the hash of a session is stored',
    file: SESSIONS,
    find: "return createHash('sha256').update(session).digest('hex');",
    replace: 'return session;',
    tests: AUTH_TESTS,
  },
  {
    defence: 'a user has a limited number of sessions',
    file: SESSIONS,
    find: 'for (const { hash } of [...over, ...surplus])',
    replace: 'for (const { hash } of [...over, ...surplus].slice(0, 0))',
    tests: AUTH_TESTS,
  },
  {
    defence: 'a change needs the CSRF token of its session',
    file: ROUTES,
    find: '!isCsrfTokenOf(session, csrf)',
    replace: 'false',
    tests: AUTH_TESTS,
  },
  {
    defence: 'nobody revokes the token of another',
    file: TOKENS,
    find: 'token !== undefined && isOwnerOf(owner, token) && ',
    replace: 'token !== undefined && ',
    tests: AUTH_TESTS,
  },
  {
    defence: 'a token belongs to the entry that made it, and not to a later one of the same name',
    file: TOKENS,
    find: 'owner === name && ownerId === (id ?? null)',
    replace: 'owner === name',
    tests: AUTH_TESTS,
  },
  {
    defence: 'a personal token begins no session',
    file: 'src/auth/auth.ts',
    find: 'createProvePassword(checkPassword)',
    replace:
      "async ({ name, password, address }) => { const v = await authenticate({ username: name, password }, address); return v.kind === 'authenticated' && v.subject.kind === 'user' ? { user: v.subject.name, login: null, credential: v.credential } : v.kind === 'busy' ? 'busy' : 'wrong'; }",
    tests: AUTH_TESTS,
  },
  {
    defence: 'a new password needs the current one',
    file: 'src/auth/admin/own-password.ts',
    find: "if (checked.kind !== 'right')",
    replace: "if (checked.kind === 'busy')",
    tests: AUTH_TESTS,
  },
];
