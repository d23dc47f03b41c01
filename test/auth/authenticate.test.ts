import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { type Authenticate, createAuthenticate } from '../../src/auth/identity/authenticate.ts';
import { createCheckPassword } from '../../src/auth/identity/check-password.ts';
import { LoginDelays, wait } from '../../src/auth/identity/login-delays.ts';
import { hashPassword } from '../../src/auth/identity/password.ts';
import {
  formatServiceToken,
  hashOfSecret,
  makeServiceToken,
  parseServiceToken,
  type ServiceToken,
} from '../../src/auth/identity/service-token.ts';
import type { User } from '../../src/auth/identity/users-file.ts';
import { DELAY_LIMITS } from '../../src/auth/limits.ts';
import type { AuthState, StoredToken } from '../../src/auth/state/auth-state.ts';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { MutableValue } from '../../src/platform/observable-value.ts';
import type { Action } from '../../src/registry/action.ts';
import { DOCKER_HUB, repositoryAt } from '../../src/registry/repository.ts';
import { waitFor } from '../support/wait-for.ts';

const NOW = 1_000_000;
const ADDRESS = '10.1.2.3';
const HASH = hashPassword('right');

let directory: string;
let state: AuthState;
let authenticate: Authenticate;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-authenticate-'));
  state = openAuthState(path.join(directory, 'auth.db'));
  const passwordHash = await HASH;
  const users: User[] = [
    { name: 'ana', isService: false, isDisabled: false, passwordHash },
    { name: 'zoe', isService: false, isDisabled: true, passwordHash },
    { name: 'ci-pay', isService: true, isDisabled: false },
    { name: 'ci-old', isService: true, isDisabled: true },
  ];
  const live = new MutableValue(new Map(users.map((user) => [user.name, user])));
  const clock = () => NOW;
  const limits = { ...DELAY_LIMITS, first: 1, longest: 2 };
  const stopping = new AbortController().signal;
  const checkPassword = await createCheckPassword({
    users: live,
    parameters: { memory: 19 * 2 ** 20, passes: 2 },
    delays: new LoginDelays({ clock, wait, limits, stopping }),
    renewHash: async (_, from) => from,
    remembersWrong: true,
    clock,
  });
  authenticate = createAuthenticate({
    users: live,
    state,
    checkPassword,
    logins: [],
    federatedLogin: async () => ({ kind: 'wrong' }),
    clock,
  });
});

afterEach(async () => {
  await state[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

const login = (username: string, password: string, address = ADDRESS) =>
  authenticate({ username, password }, address);

async function give(owner: string, more: Partial<StoredToken> = {}): Promise<ServiceToken> {
  const token = makeServiceToken();
  const times = { createdAt: 0, expiresAt: NOW + 1, lastUsedAt: null, lastUsedFrom: null };
  const hash = hashOfSecret(token.secret);
  const rest = { ownerId: null, pull: null, from: null, warnedAt: null, label: null };
  await state.putToken({ id: token.id, owner, hash, ...rest, ...times, ...more });
  return token;
}

test('many who log in at once with one password cost one hash, and with many are bounded, of one name and of many', async () => {
  const verdicts = async (one: (index: number) => [name: string, password: string]) => {
    const all = Array.from({ length: 100 }, (_, index) => login(...one(index)));
    return new Set((await Promise.all(all)).map(({ kind }) => kind));
  };
  assert.deepEqual(await verdicts(() => ['ana', 'right']), new Set(['authenticated']));
  assert.deepEqual(await verdicts((index) => [`nobody-${index}`, 'x']), new Set(['busy', 'wrong']));
  assert.deepEqual(await verdicts((index) => ['ana', `wrong ${index}`]), new Set(['busy', 'wrong']));
});

test('a disabled user, and one without a password, are nobody', async () => {
  assert.equal((await login('ana', 'right')).kind, 'authenticated');
  for (const [user, password] of [
    ['zoe', 'right'],
    ['ci-pay', 'right'],
    ['ci-pay', ''],
  ] as const)
    assert.equal((await login(user, password)).kind, 'wrong', user);
});

test('a service token is the password of its owner, in its time, from where it may be, and of nobody else', async () => {
  const token = await give('ci-pay');
  const text = formatServiceToken(token);
  const verdict = await login('ci-pay', text);
  assert.deepEqual(verdict.kind === 'authenticated' && [verdict.subject, verdict.credential], [
    { kind: 'service', name: 'ci-pay' },
    `st_${token.id}`,
  ]);
  await waitFor(async () => (await state.token(token.id))?.lastUsedAt === NOW);
  assert.equal((await state.token(token.id))?.lastUsedFrom, ADDRESS);
  const expired = formatServiceToken(await give('ci-pay', { expiresAt: NOW }));
  const elsewhere = formatServiceToken(await give('ci-pay', { from: ['10.9.0.0/16'] }));
  const disabled = formatServiceToken(await give('ci-old'));
  const gone = formatServiceToken(await give('ci-gone'));
  const forged = formatServiceToken({ ...token, secret: makeServiceToken().secret });
  for (const [user, shown] of [
    ['ana', text],
    ['ci-pay', expired],
    ['ci-pay', elsewhere],
    ['ci-old', disabled],
    ['ci-gone', gone],
    ['ci-pay', forged],
    ['ci-pay', formatServiceToken(makeServiceToken())],
  ] as const)
    assert.equal((await login(user, shown)).kind, 'wrong', user);
  assert.equal((await login('ci-pay', elsewhere, '10.9.1.1')).kind, 'authenticated');
});

test('a service token can narrow what its owner may pull', async () => {
  const verdict = await login('ana', formatServiceToken(await give('ana', { pull: ['docker.io/acme/**'] })));
  assert.ok(verdict.kind === 'authenticated');
  const allows = (name: string, action: Action = 'pull') => {
    const repository = repositoryAt(DOCKER_HUB, name) ?? assert.fail(name);
    return verdict.restriction?.allows(action, repository, ADDRESS);
  };
  assert.deepEqual([allows('acme/app'), allows('library/nginx')], [true, false]);
  assert.deepEqual([allows('acme/app', 'push'), allows('acme/app', 'delete')], [false, false]);
});

test('a service token has a prefix to be found by, and a checksum against chance', () => {
  const token = makeServiceToken();
  const text = formatServiceToken(token);
  assert.match(text, /^hubgate_[0-9A-Za-z]{46}$/);
  assert.deepEqual(parseServiceToken(text), token);
  for (let at = 8; at < text.length; at++) {
    const other = text[at] === 'a' ? 'b' : 'a';
    assert.equal(parseServiceToken(text.slice(0, at) + other + text.slice(at + 1)), undefined, text);
  }
  for (const none of ['', 'hubgate_', text.slice(1), `${text}0`, text.toLowerCase()])
    assert.equal(parseServiceToken(none), undefined);
  assert.notEqual(formatServiceToken(makeServiceToken()), text);
});
