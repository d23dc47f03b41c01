import type { Mutant } from './mutant.ts';

const STATE = 'src/auth/state/sqlite-state.ts';
const STATE_TESTS = ['test/auth/state/auth-state.test.ts'];
const CERTIFICATE = 'src/gateway/admission/certificate-subject.ts';

/** The defences of what names somebody, of how long a credential is good, and of what is written down of it. */
export const identityMutants: readonly Mutant[] = [
  {
    defence: 'a certificate with a SPIFFE URI and another URI names nobody',
    file: CERTIFICATE,
    find: 'others.length === 0 && ',
    replace: '',
    tests: ['test/gateway/admission/client-certificate.test.ts'],
  },
  {
    defence: 'a SPIFFE URI in quotes or upper case does not let the common name count',
    file: CERTIFICATE,
    find: '/^"?spiffe:/i',
    replace: '/^spiffe:/',
    tests: ['test/gateway/admission/client-certificate.test.ts'],
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
    find: 'login.createdAt > clock() + CLOCK_TOLERANCE',
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
    find: 'this.#checkpointing = setTimeout(() => this.#checkpoint(), CHECKPOINT_AGAIN_AFTER).unref();',
    replace: '',
    tests: STATE_TESTS,
  },
  {
    defence: 'a new password has a minimum length',
    file: 'src/auth/identity/password.ts',
    find: '[...password].length < LEAST_LENGTH',
    replace: 'false',
    tests: ['test/commands/cli.test.ts'],
  },
  {
    defence: 'a service token lives no longer than token.longest',
    file: 'src/commands/token.ts',
    find: 'lifetime > longest ?',
    replace: 'false ?',
    tests: ['test/commands/token.test.ts'],
  },
];
