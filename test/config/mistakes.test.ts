import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../src/config/load-config.ts';
import { SECTIONS } from '../../src/config/schema.ts';
import { formatFault } from '../../src/platform/fault.ts';

let home: string;

before(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-mistakes-'));
  await mkdir(path.join(home, 'config'));
});

after(() => rm(home, { recursive: true }));

async function faultsOf(text: string): Promise<string[]> {
  await writeFile(path.join(home, 'config/hubgate.yaml'), `${text}\n`);
  const loaded = await loadConfig({ directory: home, environment: {}, readsSecrets: true });
  return 'faults' in loaded ? loaded.faults.map(formatFault) : [];
}

/** Mistakes, each with the correction that its message must contain. */
const MISTAKES: readonly (readonly [section: string, key: string, wrong: string, right: string])[] = [
  ['cache', 'tagFreshness', '60', '60s'],
  ['cache', 'tagFreshness', '"60"', '60s'],
  ['cache', 'unusedFor', '30 days', '30d'],
  ['cache', 'unusedFor', '12 hours', '12h'],
  ['cache', 'maxSize', '100', '100GiB'],
  ['cache', 'maxSize', '100GB', '100GiB'],
  ['cache', 'maxSize', '512m', '512MiB'],
  ['passwords', 'memory', '64', '64MiB'],
  ['server', 'listen', '443', '":443"'],
  ['server', 'listen', '"443"', '":443"'],
  ['server', 'catalog', 'yes', 'true'],
  ['server', 'catalog', 'off', 'false'],
  ['server', 'url', 'mirror.corp', 'https://mirror.corp'],
  ['server', 'url', 'http://mirror.corp', 'https://mirror.corp'],
  ['server', 'url', 'https://mirror.corp/hub', 'https://mirror.corp'],
  ['server', 'names', 'mirror', '[mirror]'],
  ['token', 'refresh', 'no', 'off'],
];

for (const [section, key, wrong, right] of MISTAKES) {
  test(`the message on ${section}.${key}: ${wrong} says to write ${right}, which is accepted`, async () => {
    const faults = await faultsOf(`${section}: { ${key}: ${wrong} }`);
    assert.equal(faults.length, 1);
    const column = section.length + key.length + 7;
    assert.match(
      faults[0] ?? '',
      new RegExp(`^config/hubgate\\.yaml:1:${column}: ${section}\\.${key}: found `),
    );
    assert.equal(faults[0]?.split('; ').at(-1), `write ${right}`);
    assert.deepEqual(await faultsOf(`${section}: { ${key}: ${right} }`), []);
  });
}

test('a message on a value is never the schema library’s own', async () => {
  const values = ['0', '-1', '1.5', '100000000000', '""', 'x', '[]', '[x]', '{}', '{ a: 1 }', 'true', 'null'];
  for (const [section, keys] of Object.entries(SECTIONS)) {
    for (const key of Object.keys(keys)) {
      for (const value of values) {
        const faults = await faultsOf(`${section}: { ${key}: ${value} }`);
        assert.ok(faults.length <= 1, faults.join('\n'));
        for (const fault of faults)
          assert.doesNotMatch(
            fault,
            /too (?:small|big)|invalid|expected (?:string|int|array|one of "|$)|NaN|>=|<=/i,
          );
      }
    }
  }
});

test('another name of a known upstream is an error that names docker.io', async () => {
  for (const host of ['registry-1.docker.io', 'index.docker.io', 'https://docker.io/'])
    assert.match(
      (await faultsOf(`upstreams: { "${host}": {} }`)).join(),
      /^config\/hubgate\.yaml:1:14: .*; write docker\.io$/,
    );
  assert.match(
    (await faultsOf('upstreams: { GHCR.io: {} }')).join(),
    /"GHCR\.io" is no host; write ghcr\.io$/,
  );
});

test('a message on a text that is no YAML repeats nothing of a password', async () => {
  for (const text of [
    'upstreams: { docker.io: { username: a, password: "hunter2 } }',
    'upstreams:\n  docker.io:\n    username: a\n    password: hunter2: b c: d',
    'upstreams:\n  docker.io:\n    password: {hunter2',
    'upstreams:\n  docker.io:\n    password:\n\thunter2',
    'upstreams:\n  docker.io:\n    password: [a b: hunter2',
    'upstreams: { docker.io: { username: a, password: ab{hunter2 } }',
    'upstreams:\n  docker.io:\n    password: a\n   hunter2',
  ]) {
    const faults = (await faultsOf(text)).join();
    assert.match(faults, /^config\/hubgate\.yaml:\d+:\d+: /, text);
    assert.doesNotMatch(faults, /hunter2/, text);
  }
});
