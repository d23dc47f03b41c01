import type { Mutant } from './mutant.ts';

const STATE = 'src/auth/state/sqlite-state.ts';
const STATE_TESTS = ['test/auth/state/auth-state.test.ts'];
const CERTIFICATE = 'src/gateway/authentication/certificate-subject.ts';

const MIGRATE = 'src/commands/migrate/docker-auth.ts';
const MIGRATE_TESTS = ['test/commands/migrate.test.ts'];
const FEDERATED_TESTS = ['test/access/federated-pattern.test.ts'];

/** The defences of names of subjects, of the lifetime of credentials, and of what is recorded about them. */
export const identityMutants: readonly Mutant[] = [
  {
    defence: 'a certificate with a SPIFFE URI and another URI names nobody',
    file: CERTIFICATE,
    find: 'others.length === 0 && ',
    replace: '',
    tests: ['test/gateway/authentication/client-certificate.test.ts'],
  },
  {
    defence: 'a SPIFFE URI in quotes or upper case does not let the common name count',
    file: CERTIFICATE,
    find: '/^"?spiffe:/i',
    replace: '/^spiffe:/',
    tests: ['test/gateway/authentication/client-certificate.test.ts'],
  },
  {
    defence: 'what is remembered is forgotten when the clock is set back',
    file: 'src/platform/expiring-cache.ts',
    find: 'now < this.#latest - CLOCK_TOLERANCE',
    replace: 'false',
    tests: [
      'test/platform/expiring-cache.test.ts',
      'test/gateway/token.test.ts',
      'test/auth/federated-login.test.ts',
    ],
  },
  {
    defence: 'a refresh token that was given in the future is refused',
    file: 'src/auth/token/refresh.ts',
    find: 'login.createdAt > clock() + REMEMBERED_LOGINS.clockTolerance',
    replace: 'false',
    tests: ['test/gateway/refresh.test.ts'],
  },
  {
    defence: 'a copy of auth.db has every change that was made before',
    file: STATE,
    find: 'if (done) this.#checkpoint();',
    replace: '',
    tests: STATE_TESTS,
  },
  {
    defence: 'a checkpoint that was prevented is made later',
    file: STATE,
    find: 'this.#checkpointing = setTimeout(() => this.#checkpoint(), STATE_FILE.checkpointAgainAfter).unref();',
    replace: '',
    tests: STATE_TESTS,
  },
  {
    defence: 'a wildcard of one claim does not reach into another one',
    file: 'src/access/subject-pattern.ts',
    find: 'federated?.(subject.name) ?? matchesPattern',
    replace: 'matchesPattern',
    tests: FEDERATED_TESTS,
  },
  {
    defence: 'a pattern that does not say where each claim ends is refused',
    file: 'src/access/read-member.ts',
    find: 'whyNoFederatedPattern(written, forms);',
    replace: 'undefined;',
    tests: FEDERATED_TESTS,
  },
  {
    defence: 'a pattern that is not open names every claim',
    file: 'src/access/federated-pattern.ts',
    find: ': claims.length === patterns.length;',
    replace: ': true;',
    tests: FEDERATED_TESTS,
  },
  {
    defence: 'a login with a claim that holds what ends it is refused',
    file: 'src/auth/identity/federation/expand-subject.ts',
    find: '`${text}${between}`.indexOf(between) !== text.length',
    replace: 'false',
    tests: [...FEDERATED_TESTS, 'test/auth/federated-login.test.ts'],
  },
  {
    defence: 'two claims with nothing between them are refused',
    file: 'src/config/subject-template.ts',
    find: "'claim' in part && 'claim' in (parts[index + 1] ?? { text: '' })",
    replace: 'false',
    tests: ['test/config/federation.test.ts'],
  },
  {
    defence: 'migrate takes no account for a word of the policy',
    file: MIGRATE,
    find: 'if (why !== undefined) return { wrong: `its account is ${why}` };',
    replace: '',
    tests: MIGRATE_TESTS,
  },
  {
    defence: 'migrate drops no condition on the service',
    file: MIGRATE,
    find: 'service !== undefined && !meansAll(service)',
    replace: 'false',
    tests: MIGRATE_TESTS,
  },
  {
    defence: 'migrate takes no repository for all of them',
    file: MIGRATE,
    find: 'return { text: yamlText(`library/${pattern}`) };',
    replace: 'return { text: yamlText(pattern) };',
    tests: MIGRATE_TESTS,
  },
  {
    defence: 'migrate writes names of files as single words of a shell',
    file: 'src/commands/migrate/shell-word.ts',
    find: "`'${path.replaceAll(\"'\", \"'\\\\''\")}'`",
    replace: 'path',
    tests: MIGRATE_TESTS,
  },
  {
    defence: 'a token belongs to the entry of its owner and not to the name',
    file: 'src/auth/identity/token-owner.ts',
    find: '(user?.id ?? null) === ownerId',
    replace: 'ownerId !== undefined',
    tests: ['test/gateway/service-token.test.ts'],
  },
  {
    defence: 'that a token ends soon is said once a day over restarts',
    file: 'src/auth/identity/expiring-tokens.ts',
    find: 'warnedAt.get(id) ?? token.warnedAt ??',
    replace: 'warnedAt.get(id) ??',
    tests: ['test/auth/expiring-tokens.test.ts'],
  },
  {
    defence: 'a new password has a minimum length',
    file: 'src/auth/identity/password.ts',
    find: '[...password].length < PASSWORD_LENGTH.least',
    replace: 'false',
    tests: ['test/auth/password.test.ts'],
  },
  {
    defence: 'a service token lives no longer than token.longest',
    file: 'src/auth/admin/token-terms.ts',
    find: 'lifetime > longest',
    replace: 'false',
    tests: ['test/commands/token.test.ts'],
  },
  {
    defence: 'tokens of an entry without an id end when the entry is deleted',
    file: 'src/auth/identity/deleted-owners.ts',
    find: 'await state.removeToken(id);',
    replace: '',
    tests: ['test/auth/deleted-owners.test.ts'],
  },
  {
    defence: 'a missing users file ends no token',
    file: 'src/auth/identity/deleted-owners.ts',
    find: 'if (written === ABSENT || (await stateOfFile(usersFile)) !== written) return;',
    replace: '',
    tests: ['test/auth/deleted-owners.test.ts'],
  },
  {
    defence: 'a certificate is revoked once',
    file: 'src/auth/state/sqlite-state.ts',
    find: 'WHERE fingerprint = ? AND revoked_at IS NULL',
    replace: 'WHERE fingerprint = ?',
    tests: ['test/auth/state/sqlite-state.test.ts'],
  },
];
