/** Tests that the core meets the best challenge of a registry that sends several, wherever it stands. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { DOCKER_HUB } from '../../../src/registry/repository.ts';
import { imageOf } from '../../support/image.ts';
import { json, refusal, StandInRegistry } from '../../support/stand-in-registry.ts';
import { ACCOUNT, TestCore } from '../../support/test-core.ts';

const TARGET = 'acme/app/manifests/1';
const BASIC = `Basic ${Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64')}`;

let registry: StandInRegistry;

beforeEach(async () => {
  registry = await StandInRegistry.start();
  registry.push('1', imageOf());
});

afterEach(() => registry[Symbol.asyncDispose]());

/** Challenges with these headers, and accepts the scheme that they mean. `{realm}` is its token service. */
function challengeWith(headers: readonly string[], accepted: string): void {
  const realm = new URL('/token', registry.url).href;
  registry.behave = ({ path, headers: { authorization } }, usual) => {
    if (path === '/token') return json(200, { token: 'good' });
    if (authorization === accepted) return usual;
    const answer = refusal(401, 'UNAUTHORIZED');
    const challenges = headers.map((header) => header.replaceAll('{realm}', realm));
    return { ...answer, headers: { ...answer.headers, 'www-authenticate': challenges } };
  };
}

function start(credential?: typeof ACCOUNT): Promise<TestCore> {
  const upstream = { host: DOCKER_HUB, url: registry.url, ...(credential && { credential }) };
  return TestCore.start(registry, { upstreams: [upstream] });
}

const BEARER: Readonly<Record<string, readonly string[]>> = {
  'two headers, of which the first is Negotiate': ['Negotiate', 'Bearer realm="{realm}",service="r"'],
  'two headers, of which the first is Basic': ['Basic realm="r"', 'Bearer realm="{realm}",service="r"'],
  'Negotiate with a token, in one header': ['Negotiate YIIJvwYGKwYBBQUCoIIJszCC==, Bearer realm="{realm}"'],
  'Basic and Bearer in one header': ['Basic realm="Registry, of ours", Bearer realm="{realm}",service="r"'],
  'Basic and Bearer in one header without a comma': ['Basic realm="r" Bearer realm="{realm}"'],
  'an unknown scheme with a realm of its own': ['Digest realm="x", nonce="Bearer", Bearer realm="{realm}"'],
  'odd case, spaces and commas': ['bEARER  Realm = "{realm}" , , service=r'],
  'no quotes': ['Bearer realm={realm},service=My Registry,scope=repository:acme/app:pull'],
  'a Bearer challenge without a realm before a good one': ['Bearer', 'Bearer realm="{realm}"'],
  'a token service elsewhere before its own': [
    'Bearer realm="https://elsewhere.example/token"',
    'Bearer realm="{realm}"',
  ],
};

for (const [name, headers] of Object.entries(BEARER))
  for (const credential of [undefined, ACCOUNT])
    test(`Bearer is found: ${name}, ${credential === undefined ? 'anonymously' : 'as the account'}`, async () => {
      challengeWith(headers, 'Bearer good');
      await using core = await start(credential);
      assert.equal((await core.ask(TARGET, { grant: 'private' })).status, 200);
    });

test('Basic is used where nothing better can be met, and never shown to nobody', async () => {
  for (const headers of [
    ['Basic realm="r"'],
    ['Negotiate', 'Basic realm="r"'],
    ['Bearer realm="https://elsewhere.example/token"', 'Basic realm="r"'],
    ['NTLM, Basic realm=r'],
  ]) {
    challengeWith(headers, BASIC);
    await using core = await start(ACCOUNT);
    assert.equal((await core.ask(TARGET, { grant: 'private' })).status, 200, headers.join(' | '));
    registry.takeRequests();
    registry.requests.length = 0;
    assert.notEqual((await core.ask(TARGET)).status, 200);
    const shown = registry.requests.filter(({ headers: { authorization } }) => authorization === BASIC);
    assert.deepEqual(shown, []);
  }
});

test('a name in quotes is no challenge', async () => {
  for (const header of ['Negotiate x="a, Bearer realm={realm}"', 'Negotiate "a, Bearer realm={realm}"']) {
    challengeWith([header], 'Bearer good');
    await using core = await start();
    assert.equal((await core.ask(TARGET)).status, 502, header);
  }
});

test('the error of a token is read from the challenge that it belongs to', async () => {
  challengeWith(['Basic realm="r"', 'Bearer realm="{realm}",error="invalid_token"'], 'Bearer other');
  await using core = await start();
  assert.equal((await core.ask(TARGET)).status, 502, 'a token that is refused is no word on the repository');
});
