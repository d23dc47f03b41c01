import type { Mutant } from './mutant.ts';

const COUNTED = 'src/auth/identity/directory/counted-people.ts';
const BROWSER_LOGINS = 'src/auth/identity/directory/browser-logins.ts';
const BROWSER_TESTS = ['test/account/directory-login.test.ts'];
const CONFIRM = 'src/auth/identity/directory/confirm-people.ts';
const CONFIRM_TESTS = ['test/account/directory-confirmation.test.ts'];
const LOGOUT_TOKEN = 'src/auth/identity/directory/logout-token.ts';
const LOGOUT_TESTS = ['test/account/directory-logout.test.ts'];
const SCIM = 'src/auth/identity/directory/scim.ts';
const SCIM_TESTS = ['test/account/scim.test.ts'];
const TIME_TESTS = ['test/auth/directory/login-time.test.ts'];
const GROUPS = ['test/gateway/directory-groups.test.ts'];

/** The defences of logins of directories, and of their groups. */
export const directoryMutants: readonly Mutant[] = [
  {
    defence: 'a session ends when the directory has not confirmed its person for too long',
    file: 'src/auth/identity/sessions.ts',
    find: ' && until > clock()',
    replace: '',
    tests: CONFIRM_TESTS,
  },
  {
    defence: 'a refresh token is used once at a time',
    file: 'src/auth/identity/directory/confirmation-claims.ts',
    find: 'if (taken.has(person)) return false;',
    replace: '',
    tests: CONFIRM_TESTS,
  },
  {
    defence: 'a new refresh token is kept even if nothing else of the answer can be used',
    file: CONFIRM,
    find: 'if (said.refreshToken !== undefined)',
    replace: 'if (said.refreshToken === undefined)',
    tests: CONFIRM_TESTS,
  },
  {
    defence: 'somebody whose claims cannot be used is no failure of the provider',
    file: CONFIRM,
    find: 'if (said.fault !== undefined) throw said.fault;',
    replace: 'throw new DirectoryUnavailable(said.reason);',
    tests: CONFIRM_TESTS,
  },
  {
    defence: 'somebody whom the provider refuses at a logout is suspended',
    file: BROWSER_LOGINS,
    find: 'const said = await watched(login.name, () => confirmOne(current, oidc, round, options));',
    replace: "const said: string = 'confirmed';",
    tests: LOGOUT_TESTS,
  },
  {
    defence: 'a logout token names its issuer and this client',
    file: LOGOUT_TOKEN,
    find: '...{ issuer, audience, algorithms',
    replace: '...{ algorithms',
    tests: LOGOUT_TESTS,
  },
  {
    defence: 'a logout token is new',
    file: LOGOUT_TOKEN,
    find: 'maxTokenAge: OIDC.logoutAge, ',
    replace: '',
    tests: LOGOUT_TESTS,
  },
  {
    defence: 'an ID token is no logout token',
    file: LOGOUT_TOKEN,
    find: 'nonce === undefined && ',
    replace: '',
    tests: LOGOUT_TESTS,
  },
  {
    defence: 'a logout token says that it is one',
    file: LOGOUT_TOKEN,
    find: 'return hasEvent && ',
    replace: 'return ',
    tests: LOGOUT_TESTS,
  },
  {
    defence: 'a logout token counts once',
    file: LOGOUT_TOKEN,
    find: 'if (seen.get(jti) !== undefined) return undefined;',
    replace: '',
    tests: LOGOUT_TESTS,
  },
  {
    defence: 'a login at a provider leads only to a page of the account',
    file: BROWSER_LOGINS,
    find: " || !RETURN_TO.test(returnTo) || returnTo.includes('//')",
    replace: '',
    tests: BROWSER_TESTS,
  },
  {
    defence: 'an answer of a provider counts once',
    file: BROWSER_LOGINS,
    find: 'if (finished.get(pending.state) !== undefined) return EXPIRED;',
    replace: '',
    tests: BROWSER_TESTS,
  },
  {
    defence: 'a login at a provider sets the cookie of the session and answers with no redirect',
    file: 'src/account/directory-login.ts',
    find: 'return pageAnswer(page, 200, [',
    replace: 'return redirectTo(returnTo, [',
    tests: BROWSER_TESTS,
  },
  {
    defence: 'nobody has the groups of a person by a name of the users file',
    file: COUNTED,
    find: 'if (!mayHaveName(person, users)) continue;',
    replace: '',
    tests: GROUPS,
  },
  {
    defence: 'somebody whom the directory has refused does not count',
    file: COUNTED,
    find: ' || person.refusedAt !== null',
    replace: '',
    tests: GROUPS,
  },
  {
    defence: 'a token of a person counts only while the directory confirms the person',
    file: 'src/auth/identity/credential-registry.ts',
    find: 'until: Math.min(expiresAt, owner.until)',
    replace: 'until: expiresAt',
    tests: GROUPS,
  },
  {
    defence: 'a name of the users file is not given to a person of a directory',
    file: 'src/auth/identity/directory/bind-person.ts',
    find: 'if (users.has(name)) return false;',
    replace: '',
    tests: ['test/auth/directory/people.test.ts'],
  },
  {
    defence: 'a name that an operator has linked is for that login alone',
    file: 'src/auth/identity/directory/bind-person.ts',
    find: 'other.login === login && other.stableId === null && ',
    replace: '',
    tests: ['test/auth/directory/people.test.ts'],
  },
  {
    defence: 'a name in capitals is no other name for somebody who guesses',
    file: 'src/auth/identity/directory/directory-passwords.ts',
    find: 'username.toLowerCase()',
    replace: 'username',
    tests: ['test/auth/directory/directory-guesses.test.ts'],
  },
  {
    defence: 'a link holds for the name that an operator linked, and for no later one',
    file: 'src/auth/identity/directory/bind-person.ts',
    find: 'before?.name === name ? before.linkedAt : null',
    replace: 'before?.linkedAt ?? null',
    tests: ['test/auth/directory/people.test.ts'],
  },
  {
    defence: 'who is refused while the provider is asked stays refused',
    file: 'src/auth/identity/directory/confirmation-round.ts',
    find: 'updatePerson(person.name, named, person.refusedAt)',
    replace: 'updatePerson(person.name, named)',
    tests: ['test/auth/directory/oidc-confirmation.test.ts'],
  },
  {
    defence: 'a directory that finds nobody at once is not believed',
    file: 'src/auth/identity/directory/confirm-people.ts',
    find: 'said.size === 0 && active.length >= CONFIRMATION.believedAlone',
    replace: 'false',
    tests: ['test/auth/directory/people.test.ts'],
  },
  {
    defence: 'a policy names only logins that are configured',
    file: 'src/access/directory-group.ts',
    find: 'logins !== undefined && !logins.includes(login)',
    replace: 'false',
    tests: ['test/access/directory-groups.test.ts'],
  },
  {
    defence: 'no password is sent to a directory without TLS',
    file: 'src/config/login.ts',
    find: '!isSecure && !startTls && !isLoopback(hostname)',
    replace: 'false',
    tests: ['test/config/login.test.ts'],
  },
  {
    defence: 'no gateway is given the logins of directories',
    file: 'src/config/config.ts',
    find: "logins: role === 'auth' ? config.logins : []",
    replace: 'logins: config.logins',
    tests: ['test/config/login.test.ts'],
  },
  {
    defence: 'only the secret of its file opens SCIM',
    file: SCIM,
    find: 'timingSafeEqual(digestOf(given), digestOf(secret))',
    replace: 'given !== digestOf(secret).toString()',
    tests: SCIM_TESTS,
  },
  {
    defence: 'a secret of SCIM that can be guessed counts for nothing',
    file: SCIM,
    find: 'secret.length < SCIM.shortestToken',
    replace: "secret === ''",
    tests: SCIM_TESTS,
  },
  {
    defence: 'SCIM of one login reaches nobody of another login',
    file: SCIM,
    find: 'return person?.login === login && person.stableId !== null ? person : undefined;',
    replace: 'return person;',
    tests: SCIM_TESTS,
  },
  {
    defence: 'a deactivation ends the person',
    file: SCIM,
    find: 'await refusePerson(person, options);',
    replace: '',
    tests: SCIM_TESTS,
  },
  {
    defence: 'active that nobody can read is refused',
    file: 'src/auth/identity/directory/scim-message.ts',
    find: "if (!['add', 'replace', 'remove'].includes(verb)) return undefined;",
    replace: '',
    tests: SCIM_TESTS,
  },
  {
    defence: 'a gateway hands a login over to SCIM alone',
    file: 'src/gateway/routes/account.ts',
    find: 'if (isScim) return',
    replace: 'if (authorization !== undefined) return',
    tests: ['test/account/hand-over.test.ts'],
  },
  {
    defence: 'a name of a directory costs a hash, as a name of the users file does',
    file: 'src/auth/identity/directory/directory-passwords.ts',
    find: "if (!(await spendHash(attempt))) return { kind: 'busy' };",
    replace: '',
    tests: TIME_TESTS,
  },
  {
    defence: 'a name of the users file costs a question to the directories, as any other name does',
    file: 'src/auth/identity/authenticate.ts',
    find: "checked.kind === 'wrong' && directories !== undefined",
    replace: 'directories === null',
    tests: TIME_TESTS,
  },
  {
    defence: 'a wrong password is not remembered where a directory does not remember it',
    file: 'src/auth/identity/check-password.ts',
    find: 'judged?.right || (judged && remembersWrong)',
    replace: 'judged',
    tests: TIME_TESTS,
  },
  {
    defence: 'nobody is told that somebody whom the directory has refused has a group',
    file: 'src/auth/admin/people.ts',
    find: 'stableId !== null && refusedAt === null',
    replace: 'stableId !== null',
    tests: ['test/commands/access-groups.test.ts'],
  },
  {
    defence: 'an edit is compared for people with their groups',
    file: 'src/access/replay.ts',
    find: '{ action, subject, groups, address, ...pull, at }',
    replace: '{ action, subject, address, ...pull, at }',
    tests: ['test/commands/access-groups.test.ts'],
  },
];
