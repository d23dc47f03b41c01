import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Config } from '../../src/config/config.ts';
import { hostedNames } from '../../src/config/hosted.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { formatFault } from '../../src/platform/fault.ts';

let home: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-hosted-'));
  await mkdir(path.join(home, 'config'));
});

after(() => rm(home, { recursive: true }));

async function load(text: string, environment: Record<string, string> = {}): Promise<Config | string[]> {
  await writeFile(path.join(home, 'config/hubgate.yaml'), `${text}\n`);
  const loaded = await loadConfig({ directory: home, environment, readsSecrets: true });
  return 'faults' in loaded ? loaded.faults.map(formatFault) : loaded.value;
}

async function hostedIn(text: string, environment?: Record<string, string>): Promise<Config['hosted']> {
  const config = await load(text, environment);
  return Array.isArray(config) ? assert.fail(config.join('\n')) : config.hosted;
}

test('nothing is hosted unless the configuration says so', async () => {
  assert.equal(await hostedIn('server: {}'), undefined);
  assert.equal(hostedNames(undefined), undefined);
});

test('namespaces with their limits are read', async () => {
  const hosted = await hostedIn(`hosted:
  directory: /srv/hosted
  namespaces:
    "acme-internal/**":
      quota: 200GiB
      immutableTags: ["*", "!latest"]
      retention: { untaggedAfter: 7d, keepLast: 20, tags: "pr-*", unusedFor: 30d }
    "team/base/**": { immutableTags: "*", shadow: true }
    "plain/**":`);
  assert.deepEqual(hosted, {
    directory: '/srv/hosted',
    namespaces: [
      {
        name: 'acme-internal',
        quota: 200 * 2 ** 30,
        immutableTags: ['*', '!latest'],
        retention: {
          untaggedAfter: 7 * 86_400_000,
          keepLast: 20,
          tags: ['pr-*'],
          unusedFor: 30 * 86_400_000,
        },
        shadow: false,
      },
      { name: 'team/base', immutableTags: ['*'], shadow: true },
      { name: 'plain', immutableTags: [], shadow: false },
    ],
  });
  assert.deepEqual([...(hostedNames(hosted) ?? [])], ['acme-internal', 'team/base', 'plain']);
});

test('the directory is below the home, and the environment can set it', async () => {
  const text = 'hosted: { namespaces: { "a/**": {} } }';
  assert.equal((await hostedIn(text))?.directory, path.join(home, 'hosted'));
  const set = await hostedIn(text, { HUBGATE_HOSTED_DIRECTORY: 'elsewhere' });
  assert.equal(set?.directory, path.join(home, 'elsewhere'));
});

/** Patterns that cannot be hosted, and what the message must contain. */
const WRONG: readonly (readonly [pattern: string, said: RegExp])[] = [
  ['**', /it would take names of Docker Hub too; write a namespace such as "acme-internal\/\*\*"/],
  ['*/app/**', /it would take names of Docker Hub too/],
  ['acme-*/**', /it would take names of Docker Hub too/],
  ['library/**', /library\/\*\* are the official images of Docker Hub/],
  ['acme', /write "acme\/\*\*"/],
  ['acme/app', /write "acme\/app\/\*\*"/],
  ['acme/*', /write "acme\/\*\*"/],
  ['acme/*/**', /only its end is a wildcard; write "acme\/\*\*"/],
  ['docker.io/acme/**', /docker\.io is a host, .*; write "acme\/\*\*"/],
  ['registry.corp/acme/**', /registry\.corp is a host/],
  ['localhost/acme/**', /localhost is a host/],
  ['Acme/**', /names are letters and digits in lower case/],
  ['acme//**', /names are letters and digits in lower case/],
];

for (const [pattern, said] of WRONG) {
  test(`the namespace ${pattern} is refused, with its place and what to do`, async () => {
    const faults = await load(`hosted: { namespaces: { "${pattern}": {} } }`);
    assert.ok(Array.isArray(faults));
    assert.equal(faults.length, 1);
    assert.match(faults[0] ?? '', /^config\/hubgate\.yaml:1:25: /);
    assert.match(faults[0] ?? '', said);
  });
}

test('namespaces that overlap are refused', async () => {
  const faults = await load('hosted: { namespaces: { "acme/**": {}, "acmes/**": {}, "acme/app/**": {} } }');
  assert.deepEqual(faults, [
    'config/hubgate.yaml:1:56: "acme/app/**" is a part of "acme/**"; remove one of them',
  ]);
});

test('hosting nothing, or beside an external core, is refused', async () => {
  const empty = await load('hosted: {}');
  assert.match(
    String(empty),
    /^config\/hubgate\.yaml:1:1: nothing is hosted without namespaces; write namespaces: /,
  );
  const external = await load(
    'core: { url: "http://registry:5000" }\nhosted: { namespaces: { "a/**": {} } }',
  );
  assert.match(
    String(external),
    /^config\/hubgate\.yaml:2:1: the registry at core\.url cannot host repositories; remove /,
  );
});

test('a cluster hosts repositories only in an object store', async () => {
  const cluster = 'database: "postgres://db.corp/hubgate", node: n1';
  const namespaces = 'hosted: { namespaces: { "acme/**": {} } }';
  assert.match(
    String(await load(`${namespaces}\ncluster: { ${cluster} }`)),
    /^config\/hubgate\.yaml:2:1: a cluster hosts repositories only in an object store; write objects: /,
  );
  const objects =
    'endpoint: https://s3.corp:9000, bucket: hubgate, accessKeyFile: a.key, secretKeyFile: s.key';
  for (const key of ['a.key', 's.key']) await writeFile(path.join(home, key), 'x', { mode: 0o600 });
  const loaded = await load(`${namespaces}\ncluster: { ${cluster}, objects: { ${objects} } }`);
  const config = Array.isArray(loaded) ? assert.fail(loaded.join('\n')) : loaded;
  assert.equal(config.hosted?.namespaces.length, 1);
  assert.equal(config.cluster?.objects?.bucket, 'hubgate');
});

test('mistakes in the limits of a namespace name the place and what was expected', async () => {
  const cases: [text: string, said: RegExp][] = [
    [
      'quota: 5',
      /quota.*found 5, expected a size such as 512MiB, 100GiB or 2TiB; write 5GiB|expected a size/,
    ],
    ['immutableTags: "a b"', /immutableTags.*found "a b", expected a pattern of tags/],
    ['retention: { keepLast: 0 }', /keepLast.*found 0, expected a number of tags from 1 to 100000/],
    ['retention: { untaggedAfter: 7 days }', /untaggedAfter.*expected a duration.*write 7d/],
    ['size: 5GiB', /unknown key "hosted\.namespaces\.a.*size".*did you mean "quota"\?/],
  ];
  for (const [text, said] of cases) {
    const faults = await load(`hosted: { namespaces: { "a/**": { ${text} } } }`);
    assert.ok(Array.isArray(faults), text);
    assert.equal(faults.length, 1, faults.join('\n'));
    assert.match(faults[0] ?? '', said);
  }
});
