/** A round of confirmations by refresh tokens, with a provider that answers as each test says. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, test } from 'node:test';
import { confirmByOidc, refusePerson } from '../../../src/auth/identity/directory/confirm-people.ts';
import { localClaims } from '../../../src/auth/identity/directory/confirmation-claims.ts';
import type { ConfirmPeopleOptions } from '../../../src/auth/identity/directory/confirmation-round.ts';
import { DirectoryUnavailable } from '../../../src/auth/identity/directory/directory.ts';
import { runConfirmationRound } from '../../../src/auth/identity/directory/directory-logins.ts';
import { openOidcDirectory } from '../../../src/auth/identity/directory/oidc.ts';
import { openTextSeal, REFRESH_PURPOSE } from '../../../src/auth/identity/directory/sealed-text.ts';
import type { AuthState } from '../../../src/auth/state/auth-state.ts';
import { openAuthState } from '../../../src/auth/state/sqlite-state.ts';
import type { OidcLogin } from '../../../src/config/login.ts';
import { MutableValue } from '../../../src/platform/observable-value.ts';
import { testLog } from '../../support/test-log.ts';

const NOW = 1_000_000_000_000;
const TIMES = { confirm: 900_000, offline: 86_400_000 };
const PEOPLE = 40;

/** Answers a refresh token of somebody, and returns false if the provider should answer as usual. */
type Answer = (name: string, response: ServerResponse) => boolean;

let stack: AsyncDisposableStack;
let state: AuthState;
let options: ConfirmPeopleOptions;
let now: number;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-confirmation-'));
  stack.defer(() => rm(directory, { recursive: true }));
  state = stack.use(openAuthState(path.join(directory, 'auth.db')));
  now = NOW;
  const seal = await openTextSeal(path.join(directory, 'login.key'));
  const users = new MutableValue(new Map());
  options = { state, users, seal, claims: localClaims(), clock: () => now, log: testLog([]) };
  for (let index = 0; index < PEOPLE; index++) {
    const name = `p${String(index).padStart(2, '0')}`;
    await state.putPerson({
      ...{ name, login: 'corp', stableId: `id-${name}`, groups: ['a'], confirmedAt: NOW - TIMES.confirm },
      ...{
        refusedAt: null,
        sid: null,
        linkedAt: null,
        namedAt: null,
        refresh: seal.seal(REFRESH_PURPOSE, `${name}.0`),
      },
    });
  }
});

afterEach(() => stack.disposeAsync());

/** A provider that replaces every refresh token. Each contains the name of its owner. */
async function startProvider(
  answers: Answer,
  groupsOf: (name: string) => object = () => ({ groups: ['a'] }),
) {
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    const say = (content: object) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(content));
    };
    const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    if (request.url === '/.well-known/openid-configuration')
      return say({ issuer, token_endpoint: `${issuer}/token`, userinfo_endpoint: `${issuer}/me` });
    if (request.url === '/me') {
      const name = request.headers.authorization?.split(' ')[1] ?? '';
      return say({ sub: `id-${name}`, preferred_username: name, ...groupsOf(name) });
    }
    const [name = '', turn] = (new URLSearchParams(await text(request)).get('refresh_token') ?? '').split(
      '.',
    );
    asked.push(name);
    if (answers(name, response)) return;
    say({ access_token: name, token_type: 'bearer', refresh_token: `${name}.${Number(turn) + 1}` });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(async () => {
    server.closeAllConnections();
    server.close();
  });
  const login: OidcLogin = {
    ...{ kind: 'oidc', name: 'corp', issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
    ...{ clientId: 'hubgate', user: [{ claim: ['preferred_username'] }], groups: ['groups'], ...TIMES },
  };
  const oidc = stack.use(openOidcDirectory({ login, log: testLog([]) }));
  const watched = <T>(_: string, task: () => Promise<T>) => task();
  return {
    asked,
    confirm: () => confirmByOidc(login, oidc, options),
    pauseAfterRound: (confirm = login.confirm) =>
      runConfirmationRound({ login: { ...login, confirm }, oidc }, { ...options, watched }),
  };
}

async function confirmed(): Promise<number> {
  return (await state.people()).filter(({ confirmedAt }) => confirmedAt === now).length;
}

async function suspended(): Promise<number> {
  return (await state.people()).filter(({ refusedAt }) => refusedAt !== null).length;
}

test('a round asks about everybody once, and keeps each new refresh token', async () => {
  const { asked, confirm } = await startProvider(() => false);
  await confirm();
  assert.equal(asked.length, PEOPLE);
  assert.equal(new Set(asked).size, PEOPLE);
  assert.equal(await confirmed(), PEOPLE);
  await confirm();
  assert.equal(asked.length, PEOPLE);
  now += TIMES.confirm;
  await confirm();
  assert.equal(asked.length, 2 * PEOPLE);
  const { seal } = options;
  for (const { name, refresh } of await state.people())
    assert.equal(seal.open(REFRESH_PURPOSE, refresh ?? ''), `${name}.2`);
});

test('somebody about whom the provider answers late does not keep the others waiting', async () => {
  let release = () => {};
  const others = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { asked, confirm } = await startProvider((name, response) => {
    if (name === 'p00')
      void others.then(() =>
        response
          .setHeader('content-type', 'application/json')
          .end('{"access_token":"p00","token_type":"bearer","refresh_token":"p00.1"}'),
      );
    // The late answer comes only after everybody else was asked about.
    if (asked.length === PEOPLE) release();
    return name === 'p00';
  });
  await confirm();
  assert.equal(await confirmed(), PEOPLE);
});

test('who is refused while the provider is asked stays refused, even if it then names other groups', async () => {
  const before = await state.person('p00');
  assert.ok(before);
  await state.updatePerson('p00', { ...before, groups: ['of before'] });
  const { confirm } = await startProvider((name, response) => {
    if (name !== 'p00') return false;
    // The provider decided about this refresh token a moment before it reported that the person has left.
    void refusePerson({ ...before, groups: ['of before'] }, options).then(() =>
      response
        .setHeader('content-type', 'application/json')
        .end('{"access_token":"p00","token_type":"bearer","refresh_token":"p00.1"}'),
    );
    return true;
  });
  await confirm();
  const after = await state.person('p00');
  assert.deepEqual([after?.refusedAt, after?.refresh], [now, null]);
  assert.equal(await confirmed(), PEOPLE - 1);
});

test('somebody is suspended if the provider only says where the groups are', async () => {
  const elsewhere = { _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: 'https://g' } } };
  const others = { _claim_names: { photo: 'src1' } };
  const { confirm } = await startProvider(
    () => false,
    (name) => ({ p00: elsewhere, p01: { groups: ['a'], ...elsewhere }, p02: others })[name] ?? {},
  );
  await confirm();
  const refused = (await state.people()).filter(({ refusedAt }) => refusedAt !== null);
  assert.deepEqual(
    refused.map(({ name }) => name),
    ['p00'],
  );
  assert.deepEqual((await state.person('p01'))?.groups, ['a']);
});

for (const status of [429, 500, 503])
  for (const body of ['', '{"error":"temporarily_unavailable"}', '{"error":"invalid_grant"}'])
    test(`a provider that answers ${status} ${body} suspends nobody, and is asked again later`, async () => {
      let isBusy = true;
      const { confirm } = await startProvider((_, response) => {
        if (isBusy) response.writeHead(status, { 'content-type': 'application/json' }).end(body);
        return isBusy;
      });
      await assert.rejects(confirm(), DirectoryUnavailable);
      assert.deepEqual([await suspended(), await confirmed()], [0, 0]);
      isBusy = false;
      await confirm();
      assert.deepEqual([await suspended(), await confirmed()], [0, PEOPLE]);
    });

test('a provider that answers only some requests in each round answers for everybody after some rounds', async () => {
  let left = 0;
  const { confirm } = await startProvider((_, response) => {
    if (left-- > 0) return false;
    response.writeHead(429).end();
    return true;
  });
  const confirmedAt = new Set<string>();
  for (let round = 0; round < 4; round++) {
    left = PEOPLE / 4;
    await assert.rejects(confirm(), DirectoryUnavailable);
    for (const person of await state.people()) if (person.confirmedAt === now) confirmedAt.add(person.name);
    now += TIMES.confirm * 0.75;
  }
  assert.equal(confirmedAt.size, PEOPLE);
  assert.equal(await suspended(), 0);
});

test('a provider that has not answered for everybody is asked again within a minute', async () => {
  let isBusy = true;
  const { pauseAfterRound } = await startProvider((_, response) => {
    if (isBusy) response.writeHead(429).end();
    return isBusy;
  });
  assert.equal(await pauseAfterRound(), 60_000);
  assert.equal(await pauseAfterRound(60_000), 45_000);
  isBusy = false;
  assert.equal(await pauseAfterRound(), 675_000);
  assert.equal(await confirmed(), PEOPLE);
});
