import type { Mutant } from './mutant.ts';

const TOKEN = 'src/gateway/authentication/bearer-token.ts';
const CERTIFICATE = 'src/gateway/authentication/client-certificate.ts';
const PASSWORD = 'src/auth/identity/check-password.ts';
const AUTHENTICATE = 'src/auth/identity/authenticate.ts';
const JWT = 'src/auth/identity/federation/verify-jwt.ts';
const CERTIFICATE_TESTS = [
  'test/gateway/authentication/client-certificate.test.ts',
  'test/gateway/client-certificate.test.ts',
];
const TOKEN_TESTS = ['test/gateway/bearer-token.test.ts', 'test/gateway/jwt-corpus.test.ts'];
const PASSWORD_TESTS = ['test/auth/check-password.test.ts', 'test/auth/authenticate.test.ts'];

/** The defences of tokens, certificates, passwords and federated logins. */
export const identitiesMutants: readonly Mutant[] = [
  {
    defence: 'a token of another audience is refused',
    file: TOKEN,
    find: '      audience,\n      requiredClaims',
    replace: '      requiredClaims',
    tests: TOKEN_TESTS,
  },
  {
    defence: 'a token of another issuer is refused',
    file: TOKEN,
    find: '      issuer,\n      audience,',
    replace: '      audience,',
    tests: TOKEN_TESTS,
  },
  {
    defence: 'a token that is older than tokens live is refused',
    file: TOKEN,
    find: 'maxTokenAge: ACCESS_TOKENS.maxAge + grace / 1000,',
    replace: '',
    tests: TOKEN_TESTS,
  },
  {
    defence: 'a verified token is forgotten when it expires',
    file: TOKEN,
    find: '(exp + ACCESS_TOKENS.clockTolerance) * 1000 - clock()',
    replace: '1e12',
    tests: TOKEN_TESTS,
  },
  {
    defence: 'a certificate authority is no client',
    file: CERTIFICATE,
    find: '!certificate.ca && ',
    replace: '',
    tests: CERTIFICATE_TESTS,
  },
  {
    defence: 'a client certificate is for TLS client authentication',
    file: CERTIFICATE,
    find: 'certificate.keyUsage?.includes(CLIENT_AUTH) === true',
    replace: 'true',
    tests: CERTIFICATE_TESTS,
  },
  {
    defence: 'a revoked client certificate names nobody',
    file: CERTIFICATE,
    find: ' || credentials.isRevoked(verified.tbsHash)',
    replace: '',
    tests: CERTIFICATE_TESTS,
  },
  {
    defence: 'a client certificate that has ended names nobody',
    file: CERTIFICATE,
    find: 'isWithin(certificate, now) && ',
    replace: '',
    tests: CERTIFICATE_TESTS,
  },
  {
    defence: 'a certificate of an authority that has ended names nobody',
    file: CERTIFICATE,
    find: ' && issuers.some((issuer) => isWithin(issuer, now))',
    replace: '',
    tests: CERTIFICATE_TESTS,
  },
  {
    defence: 'the verdict of OpenSSL on a client certificate counts',
    file: CERTIFICATE,
    find: 'socket.authorized ? verifiedOf(socket) : undefined',
    replace: 'verifiedOf(socket)',
    tests: CERTIFICATE_TESTS,
  },
  {
    defence: 'passwords wait in a bounded queue',
    file: 'src/auth/limits.ts',
    find: 'waiting: 64,\n  waitingEach: 32,',
    replace: 'waiting: 1e6,\n  waitingEach: 1e6,',
    tests: PASSWORD_TESTS,
  },
  {
    defence: 'the right password of a disabled user is wrong',
    file: PASSWORD,
    find: ' && !user.isDisabled;',
    replace: ';',
    tests: [...PASSWORD_TESTS, 'test/gateway/people.test.ts', 'test/gateway/live.test.ts'],
  },
  {
    defence: 'an unknown user costs as much as a known one',
    file: PASSWORD,
    find: 'const fits = await verifyPassword(hash, password);',
    replace: 'const fits = user !== undefined && (await verifyPassword(hash, password));',
    tests: ['test/auth/check-password.test.ts'],
  },
  {
    defence: 'a password is judged by the hash that is in the file afterwards',
    file: PASSWORD,
    find: ' || user.passwordHash !== judged.hash)',
    replace: ')',
    tests: PASSWORD_TESTS,
  },
  {
    defence: 'a service token is good only for its owner',
    file: AUTHENTICATE,
    find: ' || (owner.name !== name && token.owner !== name)',
    replace: '',
    tests: ['test/auth/authenticate.test.ts', 'test/gateway/service-token.test.ts'],
  },
  {
    defence: 'a service token ends',
    file: AUTHENTICATE,
    find: "if (token.expiresAt <= clock()) return { kind: 'wrong' };",
    replace: '',
    tests: ['test/auth/authenticate.test.ts', 'test/gateway/service-token.test.ts'],
  },
  {
    defence: 'a service token is good only in its networks',
    file: AUTHENTICATE,
    find: "if (from !== null && parseNetwork(from)?.contains(address) !== true) return { kind: 'wrong' };",
    replace: '',
    tests: ['test/auth/authenticate.test.ts', 'test/gateway/service-token.test.ts'],
  },
  {
    defence: 'the secret of a service token is compared',
    file: AUTHENTICATE,
    find: ' || !isTokenSecret(presented.secret, token.hash)',
    replace: '',
    tests: ['test/auth/authenticate.test.ts', 'test/gateway/service-token.test.ts'],
  },
  {
    defence: 'a federated JWT is for this mirror',
    file: JWT,
    find: '    audience,\n    // This option',
    replace: '    // This option',
    tests: ['test/auth/federated-login.test.ts'],
  },
  {
    defence: 'other kinds of JWT are no logins',
    file: JWT,
    find: "if (typ !== undefined && !TYPES.test(typ)) return { refused: 'typ' };",
    replace: '',
    tests: ['test/auth/federated-login.test.ts'],
  },
];
