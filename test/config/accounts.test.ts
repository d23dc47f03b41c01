import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { type Config, settingsFor } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { upstreamOptions } from '../../src/launch/upstream-options.ts';
import { formatFault } from '../../src/platform/fault.ts';
import type { RepositoryName } from '../../src/registry/repository.ts';

let directory: string;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-accounts-'));
  await mkdir(path.join(directory, 'config'));
  for (const file of ['a', 'b', 'c']) await writeFile(path.join(directory, file), 's3cret', { mode: 0o600 });
});

after(() => rm(directory, { recursive: true }));

async function load(text: string) {
  await writeFile(path.join(directory, 'config', 'hubgate.yaml'), text, { mode: 0o600 });
  return loadConfig({ directory, environment: {}, readsSecrets: true, judgesModes: true });
}

async function configOf(text: string): Promise<Config> {
  const loaded = await load(text);
  assert.ok('value' in loaded, 'faults' in loaded ? loaded.faults.map(formatFault).join('\n') : '');
  return loaded.value;
}

async function faultsOf(text: string): Promise<string> {
  const loaded = await load(text);
  return 'faults' in loaded ? loaded.faults.map(formatFault).join('\n') : '';
}

const hub = (settings: string) => `upstreams:\n  docker.io: { ${settings} }\n`;
const accounts = (list: string) => hub(`accounts: [${list}]`);
const MAIN = '{ name: main, username: acme, passwordFile: a }';

test('several accounts are read, each with its login and the repositories that it is for', async () => {
  const { upstreams } = await configOf(`
upstreams:
  docker.io:
    accounts:
      - { name: main, username: acme, passwordFile: a }
      - { name: pay, username: acme, passwordFile: b, only: "acme/pay-**" }
      - { name: base, username: acme, passwordFile: c, only: [alpine, docker.io/bitnami/*] }
  ghcr.io:
    accounts:
      - { name: ecr, credentialHelper: ecr-login, only: ["tools/**", ghcr.io/acme/x, everything] }
`);
  const at = (file: string) => path.join(directory, file);
  assert.deepEqual(upstreams[0]?.accounts, [
    { name: 'main', credential: { username: 'acme', passwordFile: at('a') } },
    { name: 'pay', credential: { username: 'acme', passwordFile: at('b') }, only: ['docker.io/acme/pay-**'] },
    {
      name: 'base',
      credential: { username: 'acme', passwordFile: at('c') },
      only: ['docker.io/library/alpine', 'docker.io/bitnami/*'],
    },
  ]);
  assert.equal(upstreams[0]?.credential, undefined);
  assert.deepEqual(upstreams[1]?.accounts, [
    {
      name: 'ecr',
      credential: { helper: 'ecr-login', environment: {} },
      only: ['ghcr.io/tools/**', 'ghcr.io/acme/x', 'ghcr.io/**'],
    },
  ]);
});

test('the core is told which repositories an account is for', async () => {
  const config = await configOf(
    accounts(`${MAIN}, { name: pay, username: acme, passwordFile: b, only: ["acme/pay-**", alpine] }`),
  );
  const [main, pay] = (await upstreamOptions(config))[0]?.accounts ?? [];
  const isFor = (name: string) => pay?.only?.(name as RepositoryName);
  assert.equal(main?.only, undefined);
  assert.deepEqual(['docker.io/acme/pay-api', 'docker.io/library/alpine'].map(isFor), [true, true]);
  assert.deepEqual(['docker.io/acme/payroll', 'ghcr.io/acme/pay-api', 'docker.io/acme/alpine'].map(isFor), [
    false,
    false,
    false,
  ]);
});

test('invariant 5: no role but the core is given the logins of accounts', async () => {
  const config = await configOf(accounts(MAIN));
  for (const role of ['auth', 'gateway'] as const)
    assert.doesNotMatch(JSON.stringify(settingsFor(role, config)), /acme|passwordFile/);
});

test('a quota and a bandwidth are read', async () => {
  const { upstreams } = await configOf(hub('quota: 5000/24h, bandwidth: 100MiB/s'));
  assert.deepEqual(upstreams[0]?.quota, { pulls: 5000, windowMs: 86_400_000 });
  assert.equal(upstreams[0]?.bandwidth, 104_857_600);
  assert.deepEqual((await configOf(hub('quota: 200/h'))).upstreams[0]?.quota, {
    pulls: 200,
    windowMs: 3_600_000,
  });
  for (const quota of ['5000', '0/h', '5/0h', '-1/h', '5/1s', '5/40d', 'x/6h', '5/6'])
    assert.match(
      await faultsOf(hub(`quota: ${quota}`)),
      /:2:23: .*docker\.io\.quota: .*such as 5000\/24h/,
      quota,
    );
  for (const bandwidth of ['100MiB', '0MiB/s', '63KiB/s', 'fast', '5MB/s'])
    assert.match(
      await faultsOf(hub(`bandwidth: ${bandwidth}`)),
      /:2:27: .*docker\.io\.bandwidth: .*such as 100MiB\/s/,
      bandwidth,
    );
});

test('accounts that cannot be meant are faults that name file, line and key', async () => {
  const wrong = [
    [accounts(''), /^config\/hubgate\.yaml:2:26: a list of accounts has at least one/],
    [
      hub(`username: acme, passwordFile: a, accounts: [${MAIN}]`),
      /:2:49: the upstream has a login of its own beside its accounts/,
    ],
    [
      hub(`credentialHelper: ecr-login, accounts: [${MAIN}]`),
      /:2:45: the upstream has a login of its own beside its accounts/,
    ],
    [
      accounts(`${MAIN}, { name: main, username: x, passwordFile: b }`),
      /:2:84: there is another account "main"/,
    ],
    [accounts(`${MAIN}, { name: more, username: acme, passwordFile: a }`), /"more" has the login of "main"/],
    [accounts('{ name: a }'), /:2:27: the account "a" has no login/],
    [accounts('{ username: acme, passwordFile: a }'), /"name" of entry 1 of .*accounts is missing/],
    [accounts('{ name: "a b", username: acme, passwordFile: a }'), /a name of letters, digits/],
    [accounts('{ name: a, username: acme }'), /:2:27: a username needs exactly one of/],
    [accounts('{ name: a, username: acme, password: s3cret }'), /write passwordFile/],
    [accounts('{ name: a, username: acme, passwordFile: none }'), /:2:68: the secret file cannot be read/],
    [accounts('{ name: a, username: x, passwordFile: a, credentialHelper: h }'), /a credential helper gives/],
    [
      accounts('{ name: a, username: x, passwordFile: a, only: ghcr.io/acme/* }'),
      /:2:74: "ghcr\.io\/acme\/\*" can match no repository of docker\.io/,
    ],
    [
      accounts('{ name: a, username: x, passwordFile: a, only: [acme/*, Acme/*] }'),
      /:2:83: .*names are in lower case/,
    ],
    [
      accounts('{ name: a, username: x, passwordFile: a, only: "${user}/*" }'),
      /:2:74: .*an account is nobody’s own/,
    ],
    [accounts('{ name: a, username: x, passwordFile: a, only: [] }'), /only.*at least one entry/],
  ] as const;
  for (const [text, reason] of wrong) {
    const faults = await faultsOf(text);
    assert.match(faults, reason);
    assert.doesNotMatch(faults, /s3cret/);
  }
});

test('the password file of an account that others may read is a fault', async () => {
  const file = path.join(directory, 'open');
  await writeFile(file, 's3cret');
  await chmod(file, 0o644);
  assert.match(
    await faultsOf(accounts('{ name: a, username: x, passwordFile: open }')),
    /:2:65: the secret file has the mode 0644/,
  );
});

test('a registry in the core’s place has no accounts, no quota and no bandwidth', async () => {
  const core = 'core: { url: "http://registry:5000" }\n';
  for (const [key, value] of [
    ['accounts', `[${MAIN}]`],
    ['quota', '5000/24h'],
    ['bandwidth', '1MiB/s'],
  ] as const)
    assert.match(
      await faultsOf(`${core}${hub(`${key}: ${value}`)}`),
      new RegExp(`^config/hubgate\\.yaml:3:16: with core\\.url there is no ${key}`),
    );
});
