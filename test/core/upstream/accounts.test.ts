import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { createRegistryClient, type RegistryClient } from '../../../src/core/upstream/registry-client.ts';
import { createTransport, type Transport } from '../../../src/core/upstream/transport.ts';
import type { UpstreamAccount } from '../../../src/core/upstream/upstream.ts';
import type { PullsLeft } from '../../../src/core/upstream/upstream-accounts.ts';
import { CORE_STATUS, UPSTREAM_CHECKS } from '../../../src/protocol/core-api.ts';
import type { Tag } from '../../../src/registry/reference.ts';
import { DOCKER_HUB, type Repository, repositoryAt } from '../../../src/registry/repository.ts';
import { FakeHub, type LogEntry } from '../../support/fake-hub.ts';
import { imageOf } from '../../support/image.ts';
import { PATIENT_LIMITS, QUIET, TestCore } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';

const LATEST = { kind: 'tag', tag: 'latest' as Tag } as const;
const AS_ACCOUNT = { as: 'account' } as const;
const APP = repositoryNamed('acme/app');
const PAY = repositoryNamed('acme/pay-api');
/** Tokens of the stand-in live for 300 s, so for so long an account is asked without another token. */
const MINUTE = 60_000;

let hub: FakeHub;
let transport: Transport;
let now: number;

beforeEach(async () => {
  hub = await FakeHub.start();
  transport = createTransport({ limits: PATIENT_LIMITS, log: QUIET });
  now = Date.now();
  hub.push('acme/app', 'latest', imageOf());
  hub.push('acme/pay-api', 'latest', imageOf());
});

afterEach(async () => {
  await transport[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function repositoryNamed(name: string): Repository {
  return repositoryAt(DOCKER_HUB, name) ?? assert.fail();
}

function accountNamed(name: string, only?: UpstreamAccount['only']): UpstreamAccount {
  return { name, credential: { username: name, password: `of ${name}` }, ...(only && { only }) };
}

/** Makes accounts that the stand-in knows, each with a count of its own if it has one. */
function known(account: UpstreamAccount, remaining?: number, repositories: readonly string[] = []) {
  const { name } = account;
  hub.accounts.push({
    username: name,
    password: `of ${name}`,
    repositories,
    ...(remaining !== undefined && { remaining }),
  });
  return account;
}

function remainingOf(name: string): number | undefined {
  return hub.accounts.find(({ username }) => username === name)?.remaining;
}

function clientWith(
  accounts: readonly UpstreamAccount[],
  pullsLeft?: PullsLeft,
  log = QUIET,
): RegistryClient {
  return createRegistryClient({
    upstreams: [{ host: DOCKER_HUB, url: hub.url, accounts }],
    transport,
    limits: PATIENT_LIMITS,
    clock: () => now,
    log,
    ...(pullsLeft && { pullsLeft }),
  });
}

/** Returns who made a request, by its token or its login; undefined for anonymous. */
function userOf({ headers: { authorization = '' } }: LogEntry): string | undefined {
  if (authorization.startsWith('Basic '))
    return Buffer.from(authorization.slice(6), 'base64').toString().split(':')[0];
  const claims = authorization.split('.')[1];
  return claims === undefined
    ? undefined
    : JSON.parse(Buffer.from(claims, 'base64url').toString()).sub || undefined;
}

/** Returns those whose tokens reached the registry since the last call. */
function takeUsers(): (string | undefined)[] {
  const sent = hub.log
    .splice(0)
    .filter(({ server, headers }) => server === 'registry' && headers.authorization);
  return [...new Set(sent.map(userOf))];
}

async function pull(client: RegistryClient, repository: Repository): Promise<(string | undefined)[]> {
  hub.log.length = 0;
  assert.equal((await client.getManifest(repository, LATEST, AS_ACCOUNT)).kind, 'ok');
  return takeUsers();
}

test('an account with `only` is used for these repositories, and for nothing else', async () => {
  const accounts = [
    known(accountNamed('main')),
    known(accountNamed('pay', (name) => name.startsWith('docker.io/acme/pay-'))),
  ];
  const client = clientWith(accounts);
  assert.deepEqual(await pull(client, PAY), ['pay']);
  assert.deepEqual(await pull(client, APP), ['main']);
});

test('a repository for which no account remains is asked for anonymously', async () => {
  const client = clientWith([known(accountNamed('pay', (name) => name.startsWith('docker.io/acme/pay-')))]);
  assert.deepEqual(await pull(client, PAY), ['pay']);
  assert.deepEqual(await pull(client, APP), [undefined]);
});

test('invariant 3: with several accounts, what is asked as anonymous still carries no credential', async () => {
  const client = clientWith([known(accountNamed('main')), known(accountNamed('spare'))]);
  await pull(client, APP);
  hub.log.length = 0;
  assert.equal((await client.headManifest(APP, LATEST, { as: 'anonymous' })).kind, 'ok');
  assert.deepEqual(
    hub.log.map(userOf).filter((user) => user !== undefined),
    [],
  );
});

test('the account with most pulls left is used, for a minute at a time', async () => {
  const client = clientWith([known(accountNamed('one'), 50), known(accountNamed('two'), 80)]);
  // Nothing is known of either yet, so both are asked once.
  await pull(client, APP);
  now += MINUTE;
  await pull(client, APP);
  now += MINUTE;
  assert.deepEqual([remainingOf('one'), remainingOf('two')], [49, 79]);
  for (let pulls = 0; pulls < 5; pulls++) assert.deepEqual(await pull(client, APP), ['two']);
  const two = hub.accounts[1] ?? assert.fail();
  two.remaining = 20;
  for (let pulls = 0; pulls < 2; pulls++)
    assert.deepEqual(await pull(client, APP), ['two'], 'it is kept for a minute, although less is left');
  now += MINUTE;
  assert.deepEqual(await pull(client, APP), ['one']);
});

test('what the counts say is left decides, and an account with nothing left is passed over at once', async () => {
  const left: Record<string, number | undefined> = { one: 5, two: 9 };
  const asked: string[] = [];
  const client = clientWith([known(accountNamed('one')), known(accountNamed('two'))], (host, account) => {
    asked.push(host);
    return left[account];
  });
  assert.deepEqual(await pull(client, APP), ['two']);
  left.two = 0;
  assert.deepEqual(await pull(client, APP), ['one']);
  left.two = undefined;
  now += MINUTE;
  assert.deepEqual(await pull(client, APP), ['two'], 'an account without a known quota has most left');
  assert.deepEqual([...new Set(asked)], ['docker.io']);
});

test('an account that the upstream refuses is passed over, is asked again after a minute, and is named in the log', async () => {
  const lines: LoggedLine[] = [];
  const one = accountNamed('one');
  const client = clientWith([one, known(accountNamed('two'))], undefined, testLog(lines));
  assert.deepEqual(await pull(client, APP), ['two']);
  assert.deepEqual(
    lines
      .filter(({ level }) => level >= 40)
      .map(({ msg, upstream, account }) => [msg.split(';')[0], upstream, account]),
    [['the upstream refuses the credential', 'docker.io', 'one']],
  );
  hub.log.length = 0;
  assert.equal((await client.getManifest(PAY, LATEST, AS_ACCOUNT)).kind, 'ok');
  assert.ok(!hub.log.some((entry) => userOf(entry) === 'one'), 'a refused credential is not shown again');
  known(one);
  now += MINUTE + 1;
  assert.deepEqual(await pull(client, APP), ['one']);
  assert.deepEqual(
    client.accounts(DOCKER_HUB).map(({ name, credential }) => [name, credential]),
    [
      ['one', 'accepted'],
      ['two', 'accepted'],
    ],
  );
});

test('if the upstream refuses all accounts, the answer is that of the first', async () => {
  const client = clientWith([accountNamed('one'), accountNamed('two')]);
  const answer = await client.getManifest(APP, LATEST, AS_ACCOUNT);
  assert.equal(answer.kind === 'unavailable' && answer.failure.cause, 'credential');
});

test('an account whose pulls are used up is passed over for the next one', async () => {
  const client = clientWith([known(accountNamed('one'), 0), known(accountNamed('two'), 10)]);
  assert.deepEqual(await pull(client, APP), ['one', 'two']);
  assert.deepEqual(await pull(client, PAY), ['two']);
});

test('a refusal of the repository is believed, and asked of no other account', async () => {
  hub.setPrivate('acme/app', true);
  const client = clientWith([known(accountNamed('one')), known(accountNamed('two'), 100, ['acme/app'])]);
  const answer = await client.getManifest(APP, LATEST, AS_ACCOUNT);
  assert.equal(answer.kind, 'denied');
  assert.deepEqual(takeUsers(), ['one']);
});

test('a new password counts for its own account', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-accounts-'));
  try {
    const passwordFile = path.join(directory, 'one');
    await writeFile(passwordFile, 'not yet right');
    known(accountNamed('one'));
    const one = { name: 'one', credential: { username: 'one', passwordFile }, only: () => true };
    using client = clientWith([one, known(accountNamed('two'))]);
    assert.equal((await client.getManifest(APP, LATEST, AS_ACCOUNT)).kind, 'unavailable');
    await writeFile(passwordFile, 'of one');
    await client.reload();
    assert.deepEqual(await pull(client, APP), ['one']);
  } finally {
    await rm(directory, { recursive: true });
  }
});

const NAMES = ['acme/app', 'acme/pay-api', 'acme/pay-web', 'tools/x', 'library/alpine'] as const;
const SETTINGS = fc.array(
  fc.record({ only: fc.option(fc.subarray([...NAMES], { minLength: 1 })), isKnown: fc.boolean() }),
  { minLength: 1, maxLength: 4 },
);
const STEPS = fc.array(
  fc.record({
    name: fc.constantFrom(...NAMES),
    as: fc.constantFrom('account', 'anonymous'),
    method: fc.constantFrom('headManifest', 'getManifest'),
    later: fc.constantFrom(0, MINUTE, 300_000),
  }),
  { minLength: 1, maxLength: 12 },
);

test('the tokens and links of two accounts never mix', async () => {
  for (const name of NAMES) hub.push(name, 'latest', imageOf());
  await fc.assert(
    fc.asyncProperty(SETTINGS, STEPS, async (settings, steps) => {
      hub.accounts.length = 0;
      const accounts = settings.map(({ only, isKnown }, index) => {
        const isFor =
          only === null ? undefined : (name: string) => only.some((one) => name === `docker.io/${one}`);
        const account = accountNamed(`a${index}`, isFor);
        return isKnown ? known(account, 1000) : account;
      });
      // What is responsible for a repository follows from the configuration alone, whatever happened before.
      const responsible = (name: string) => {
        const named = accounts.filter(({ only }) => only?.(repositoryNamed(name).name));
        return (named.length > 0 ? named : accounts.filter(({ only }) => only === undefined)).map(
          (one) => one.name,
        );
      };
      using client = clientWith(accounts);
      for (const { name, as, method, later } of steps) {
        now += later;
        hub.log.length = 0;
        await client[method](repositoryNamed(name), LATEST, { as });
        for (const entry of hub.log) {
          const user = userOf(entry);
          if (user === undefined) continue;
          assert.equal(as, 'account');
          assert.ok(responsible(name).includes(user), `${entry.server} ${entry.path} as ${user}`);
          const scope = entry.server === 'token' ? entry.query.get('scope') : `repository:${name}:pull`;
          assert.equal(scope, `repository:${name}:pull`);
        }
      }
    }),
    { numRuns: 40 },
  );
});

test('content that one account can read is not served in a repository of another', async () => {
  const secret = imageOf();
  hub.push('acme/pay-api', 'secret', secret, { private: true });
  hub.setPrivate('acme/pay-api', true);
  const main = known(accountNamed('main'));
  const pay = known(
    accountNamed('pay', (name) => name.startsWith('docker.io/acme/pay-')),
    100,
    ['acme/pay-api'],
  );
  const upstreams = [{ host: DOCKER_HUB, url: hub.url, accounts: [main, pay] }];
  await using core = await TestCore.start(hub, { upstreams });
  const [layer] = secret.layers;
  assert.equal((await core.ask('acme/pay-api/manifests/secret', { grant: 'private' })).status, 200);
  assert.ok((await core.blob(`acme/pay-api/blobs/${layer}`, 'private')) instanceof Buffer);
  for (const grant of ['private', 'public'] as const) {
    const manifest = await core.ask(`acme/app/manifests/${secret.digest}`, { grant });
    assert.equal(manifest.status, 404);
    assert.equal(await core.blob(`acme/app/blobs/${layer}`, grant), 404);
  }
  assert.equal((await core.ask('acme/pay-api/manifests/secret', { grant: 'public' })).status, 404);
});

test('the status, the check and the metrics name the accounts', async () => {
  const accounts = [known(accountNamed('one'), 7), accountNamed('two')];
  const upstreams = [{ host: DOCKER_HUB, url: hub.url, accounts }];
  await using core = await TestCore.start(hub, { upstreams, clock: () => now });
  await core.ask('acme/app/manifests/latest', { grant: 'private' });
  const [check] = UPSTREAM_CHECKS.parse(await core.operation('/upstreams/check', 'POST'));
  assert.deepEqual([check?.trouble, check?.credential], [null, 'refused']);
  assert.deepEqual(check?.accounts, [
    { name: 'one', credential: 'accepted', mayPush: false },
    { name: 'two', credential: 'refused', mayPush: null },
  ]);
  const [status] = CORE_STATUS.parse(await core.operation('/status')).upstreams;
  assert.equal(status?.quota?.remaining, 7);
  assert.deepEqual(
    status.accounts?.map(({ name, credential, quota }) => [name, credential, quota?.remaining]),
    [
      ['one', 'accepted', 7],
      ['two', 'refused', undefined],
    ],
  );
  const metrics = JSON.stringify(await core.operation('/metrics'));
  assert.match(metrics, /{"value":7,"labels":{"upstream":"docker.io","account":"one"}}/);
  assert.match(metrics, /{"value":0,"labels":{"upstream":"docker.io","account":"two"}}/);
});
