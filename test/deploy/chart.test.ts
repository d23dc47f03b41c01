import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { before, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { readPolicy } from '../../src/access/load-policy.ts';
import { loadConfig } from '../../src/config/load-config.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const CHART = path.join(ROOT, 'deploy/helm/hubgate');

interface Values {
  readonly config: object;
  readonly access: { readonly text: string };
}

let values: Values;
let schema: z.ZodType;

before(async () => {
  values = parse(await read('values.yaml'));
  schema = z.fromJSONSchema(JSON.parse(await read('values.schema.json')));
});

function read(name: string): Promise<string> {
  return readFile(path.join(CHART, name), 'utf8');
}

function accepts(change: object): boolean {
  return schema.safeParse({ ...values, ...change }).success;
}

test('the schema takes the default values, and every one of them is in it', () => {
  const { error } = schema.safeParse(values);
  assert.equal(error?.message, undefined);
  for (const key of Object.keys(values)) assert.ok(!accepts({ [key]: 7 }), `${key} could be anything`);
});

test('the schema refuses what the chart sets itself, inline credentials, and keys that mean nothing', () => {
  const url = 'https://mirror.corp';
  assert.ok(accepts({ config: { server: { url }, upstreams: { 'ghcr.io': {} } } }));
  for (const config of [
    {},
    { server: { url, listen: ':443' } },
    { server: { url, admin: ':9' } },
    { server: { url: 'http://mirror.corp' } },
    { server: { url }, tls: { key: 'mine.key' } },
    { server: { url }, core: { url: 'http://registry:5000' } },
    { server: { url }, log: { audit: '/tmp/x' } },
    { server: { url }, cache: { directory: '/tmp/x' } },
    { server: { url }, upstreams: { 'docker.io': { username: 'acme', password: 'inline' } } },
  ])
    assert.ok(!accepts({ config }), JSON.stringify(config));
  assert.ok(!accepts({ replicas: 2 }), 'a second replica');
  assert.ok(!accepts({ access: { text: 'version: 1\nallow: []\n' } }), 'a policy without its last line');
  assert.ok(!accepts({ upstreamCredentials: [{ upstream: 'docker.io', existingSecret: '' }] }));
});

test('the default values are a configuration and a policy that a start takes', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-chart-'));
  try {
    await mkdir(path.join(home, 'config'));
    await writeFile(path.join(home, 'config/hubgate.yaml'), stringify(values.config));
    await writeFile(path.join(home, 'config/access.yaml'), values.access.text);
    const config = await loadConfig({ directory: home, environment: {}, readsSecrets: true });
    assert.ok('value' in config, JSON.stringify(config));
    const policy = await readPolicy(path.join(home, 'config/access.yaml'), Date.now(), { forms: {} });
    assert.ok('value' in policy, JSON.stringify(policy));
    assert.deepEqual('warnings' in policy ? policy.warnings : [], []);
  } finally {
    await rm(home, { recursive: true });
  }
});

test('chart and image are of this version', async () => {
  const { version } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8'));
  const chart = parse(await read('Chart.yaml'));
  assert.deepEqual([chart.version, chart.appVersion], [version, version]);
  for (const file of ['compose.yaml', 'deploy/compose/separate.yaml', 'deploy/compose/cluster.yaml']) {
    const images = (await readFile(path.join(ROOT, file), 'utf8')).match(/(?<=image: )hubgate.+/g);
    assert.deepEqual([...new Set(images)], [`hubgate:${version}`], file);
  }
});
