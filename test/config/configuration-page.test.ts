import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { configSchema } from '../../src/config/json-schema.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { configurationPage } from '../../tools/configuration-page.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const STALE = 'it is stale: npm run docs:configuration';

/** The formatter pads the cells of tables. */
function unpadded(page: string): string {
  return page.replace(/ +/g, ' ').replace(/-{2,}/g, '-');
}

test('docs/configuration.md is what the schema says', async () => {
  const shipped = await readFile(path.join(ROOT, 'docs/configuration.md'), 'utf8');
  assert.equal(unpadded(shipped), unpadded(configurationPage()), STALE);
});

test('the JSON Schema that is shipped is the one that `hubgate schema config` prints', async () => {
  const shipped = await readFile(path.join(ROOT, 'config/hubgate.schema.json'), 'utf8');
  assert.deepEqual(JSON.parse(shipped), JSON.parse(JSON.stringify(configSchema())), STALE);
  const example = await readFile(path.join(ROOT, 'config/hubgate.yaml'), 'utf8');
  assert.match(example, /^# yaml-language-server: \$schema=hubgate\.schema\.json\n/);
});

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly anyOf?: readonly Node[];
  readonly default?: unknown;
}

/** The defaults of a schema, as a file would say them. */
function defaultsOf({ properties, anyOf }: Node): Record<string, unknown> {
  const inner = properties ?? anyOf?.find((one) => one.properties !== undefined)?.properties ?? {};
  return Object.fromEntries(
    Object.entries(inner).flatMap(([key, node]) => {
      if (node.default !== undefined) return [[key, node.default]];
      const below = defaultsOf(node);
      return Object.keys(below).length > 0 ? [[key, below]] : [];
    }),
  );
}

test('the defaults that people and editors are told are those that hold', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-defaults-'));
  t.after(() => rm(directory, { recursive: true }));
  await mkdir(path.join(directory, 'config'));
  const load = () => loadConfig({ directory, environment: {}, readsSecrets: true });
  const without = await load();
  const said = defaultsOf(configSchema());
  assert.equal((said.cache as { tagFreshness: string }).tagFreshness, '60s');
  assert.deepEqual(Object.keys(said), ['server', 'tls', 'cache', 'token', 'passwords', 'log']);
  await writeFile(path.join(directory, 'config/hubgate.yaml'), stringify(said));
  assert.deepEqual(await load(), without);
});
