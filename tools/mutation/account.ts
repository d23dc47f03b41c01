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
  {
    defence: 'a device code gives a token once, to one of two polls',
    file: 'src/auth/identity/device-grant.ts',
    find: "if (!(await state.removeDevice(hash))) return { kind: 'expired' };",
    replace: '',
    tests: ['test/auth/device-grant.test.ts'],
  },
  {
    defence: 'a device code ends',
    file: 'src/auth/identity/device-grant.ts',
    find: 'expiresAt <= now || ',
    replace: '',
    tests: ['test/auth/device-grant.test.ts'],
  },
  {
    defence: 'a machine that polls too early is told to slow down',
    file: 'src/auth/identity/device-grant.ts',
    find: "if (isTooEarly(hash)) return { kind: 'slow-down' };",
    replace: '',
    tests: ['test/auth/device-grant.test.ts'],
  },
  {
    defence: 'a user may type only some codes that nobody shows',
    file: 'src/auth/identity/device-grant.ts',
    find: "if (before >= DEVICE_GRANT.guesses) return 'guessed';",
    replace: '',
    tests: ['test/auth/device-grant.test.ts'],
  },
  {
    defence: 'machines of one network take only some places',
    file: 'src/auth/identity/device-grant.ts',
    find: ' && near.length < DEVICE_GRANT.waitingEach',
    replace: '',
    tests: ['test/auth/device-grant.test.ts'],
  },
  {
    defence: 'only the hash of a device code is kept',
    file: 'src/auth/identity/device-grant.ts',
    find: "return createHash('sha256').update(deviceCode).digest('hex');",
    replace: 'return deviceCode;',
    tests: ['test/auth/device-grant.test.ts'],
  },
  {
    defence: 'a machine gets no token of a user who was disabled since',
    file: 'src/auth/routes/device.ts',
    find: ' || owner.isDisabled',
    replace: '',
    tests: ['test/auth/device-grant.test.ts'],
  },
  {
    defence: 'a machine is approved only with the CSRF token of the session',
    file: 'src/auth/routes/device.ts',
    find: 'const active = await sessionOf(context, request, dependencies);',
    replace: 'const active = await dependencies.sessions.find(request.session);',
    tests: ['test/auth/device-grant.test.ts'],
  },
  {
    defence: 'the name of a machine has no invisible characters',
    file: 'src/auth/routes/device.ts',
    find: 'const [wrong] = whyNoLabel(machine);',
    replace: 'const [wrong]: string[] = [];',
    tests: ['test/auth/device-grant.test.ts'],
  },
  {
    defence: 'a machine that logs out revokes no token of an operator',
    file: 'src/auth/routes/device.ts',
    find: 'stored.label !== null && ',
    replace: '',
    tests: ['test/auth/device-grant.test.ts'],
  },
  {
    defence: 'whoever knows only the id of a token revokes nothing',
    file: 'src/auth/routes/device.ts',
    find: ' && isTokenSecret(presented.secret, stored.hash)',
    replace: '',
    tests: ['test/auth/device-grant.test.ts'],
  },
];
