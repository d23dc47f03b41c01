import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { BUDGET_FILE, INDEX_FILE } from '../src/core/store/layout.ts';

const ROOT = path.join(import.meta.dirname, '..');

const BELOW_LAUNCH = [
  'registry',
  'platform',
  'protocol',
  'cluster',
  'config',
  'access',
  'pki',
  'core',
  'auth',
  'gateway',
  'account',
];

/** The modules that each module of `src` may import. A module that is missing here fails the test. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  registry: [],
  platform: [],
  protocol: ['registry', 'platform'],
  config: ['registry', 'platform', 'access'],
  access: ['registry', 'platform'],
  pki: ['platform'],
  cluster: ['registry', 'platform', 'protocol'],
  core: ['registry', 'platform', 'protocol', 'cluster'],
  auth: ['registry', 'platform', 'protocol', 'config', 'access', 'cluster'],
  gateway: ['registry', 'platform', 'protocol', 'access'],
  account: ['registry', 'platform', 'protocol'],
  supervisor: ['platform'],
  launch: [...BELOW_LAUNCH, 'supervisor'],
  commands: [...BELOW_LAUNCH, 'supervisor', 'launch'],
  bin: ['config', 'launch', 'commands'],
};

/** Where a package that matters may be imported. Packages that are not here may be imported anywhere. */
const PACKAGE_HOMES: Readonly<Record<string, readonly string[]>> = {
  argon2: ['auth/identity'],
  aws4fetch: ['cluster/objects/object-requests.ts'],
  bcryptjs: ['auth/identity'],
  commander: ['bin'],
  'ipaddr.js': ['core/upstream', 'auth/identity/login-network.ts', 'gateway/http/client-address.ts'],
  jose: ['auth', 'gateway/authentication', 'gateway/clients'],
  ldapts: ['auth/identity/directory/ldap.ts'],
  'openid-client': ['auth/identity/directory/oidc.ts', 'auth/identity/directory/provider-fetch.ts'],
  koa: ['gateway', 'core/endpoints.ts', 'core/routes', 'auth/endpoints.ts', 'auth/routes'],
  '@koa/router': ['gateway/routes', 'core/routes', 'auth/endpoints.ts'],
  'node-forge': ['pki'],
  'node:sqlite': [
    'core/store',
    'core/hosted',
    'core/budget/budget-file.ts',
    'auth/state',
    'platform/sqlite-query.ts',
    'platform/sqlite-copy.ts',
  ],
  pg: ['platform/postgres.ts'],
  'prom-client': ['platform/metrics.ts'],
  pino: ['platform/log.ts'],
  'smol-toml': ['commands/doctor/client/host-files.ts'],
  tldts: ['core/upstream'],
  undici: ['platform/undici.ts', 'platform/undici-parts.d.ts'],
  yaml: ['platform/yaml/yaml-document.ts', 'auth/identity/users-file.ts'],
};

/** A declaration that a module exports. */
const EXPORTED = /^export (?:async )?(?:function\*?|(?:abstract )?class|interface|type|const) (\w+)/gm;

/** A declaration of a type, exported or not. */
const TYPE = /^(?:export )?(?:declare )?(?:(?:abstract )?class|interface|type) (\w+)/gm;

const FILES = globSync('src/**/*.ts', { cwd: ROOT });

function importsOf(file: string): string[] {
  const text = readFileSync(path.join(ROOT, file), 'utf8');
  return [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].map(([, specifier]) => specifier ?? '');
}

function moduleOf(file: string): string {
  return path.relative('src', file).split(path.sep)[0] ?? '';
}

test('modules import only what lies below them', () => {
  for (const file of FILES) {
    for (const specifier of importsOf(file).filter((one) => one.startsWith('.'))) {
      const target = path.join(path.dirname(file), specifier);
      if (!target.startsWith('src')) continue;
      const [from, to] = [moduleOf(file), moduleOf(target)];
      assert.ok(from in MAY_IMPORT, `${file}: the module ${from} has no place in MAY_IMPORT`);
      assert.ok(
        from === to || MAY_IMPORT[from]?.includes(to),
        `${file}: ${from} must not import ${to} (${specifier})`,
      );
    }
  }
});

test('the architecture page says what each module may import', () => {
  const page = readFileSync(path.join(ROOT, 'docs/architecture.md'), 'utf8');
  const table = page.slice(page.indexOf('## Modules'));
  const rows = [...table.matchAll(/^\| (?!module)(\w+) +\|[^|]*\| ([a-z][a-z, ]*?|–) +\|$/gm)];
  const stated = rows.map(([, module = '', modules = '']) => [module, modulesIn(module, modules).toSorted()]);
  assert.deepEqual(
    Object.fromEntries(stated),
    Object.fromEntries(Object.entries(MAY_IMPORT).map(([module, modules]) => [module, modules.toSorted()])),
  );
});

function modulesIn(module: string, text: string): string[] {
  if (text === '–') return [];
  const [, exceptions] = /^all but (.+)$/.exec(text) ?? [];
  if (exceptions === undefined) return text.split(', ');
  const without = [module, ...exceptions.split(' and ')];
  return Object.keys(MAY_IMPORT).filter((one) => !without.includes(one));
}

test('no files import one another in a circle, not even for types', () => {
  const imports = new Map(
    FILES.map((file) => [
      file,
      importsOf(file)
        .filter((one) => one.startsWith('.'))
        .map((one) => path.join(path.dirname(file), one)),
    ]),
  );
  const checked = new Set<string>();
  const follow = (file: string, way: readonly string[]): void => {
    const begin = way.indexOf(file);
    assert.ok(begin === -1, `${[...way.slice(begin), file].join(' → ')} is a circle`);
    if (checked.has(file)) return;
    for (const next of imports.get(file) ?? []) follow(next, [...way, file]);
    checked.add(file);
  };
  for (const file of FILES) follow(file, []);
});

test('packages are imported in their homes only', () => {
  for (const file of FILES) {
    for (const specifier of importsOf(file)) {
      const homes = PACKAGE_HOMES[specifier];
      const within = path.relative('src', file);
      assert.ok(
        homes === undefined || homes.some((home) => within === home || within.startsWith(`${home}/`)),
        `${file}: ${specifier} belongs into ${homes?.join(', ')}`,
      );
    }
  }
});

test('in the core, only the stores know where their content is', () => {
  const places = ['src/core/store/layout.ts', 'src/platform/disk-space.ts'];
  const stores = /^src\/core\/(?:store|hosted)\//;
  for (const file of FILES.filter((one) => moduleOf(one) === 'core' && !stores.test(one))) {
    const imports = importsOf(file).map((specifier) => path.join(path.dirname(file), specifier));
    for (const place of places) assert.ok(!imports.includes(place), `${file} must not import ${place}`);
  }
});

test('the files of the cache are named in its layout only', () => {
  const named = new RegExp(`['"\`/](?:${[INDEX_FILE, BUDGET_FILE].join('|')}|blobs/sha\\d+)\\b`);
  const layouts = ['src/core/store/layout.ts', 'src/core/hosted/layout.ts'];
  for (const file of FILES.filter((one) => !layouts.includes(one))) {
    const code = readFileSync(path.join(ROOT, file), 'utf8').replace(/^\s*(?:\/?\*|\/\/).*$/gm, '');
    assert.doesNotMatch(code, named, file);
  }
});

test('only bin, commands, config and launch read the environment', () => {
  for (const file of FILES) {
    const text = readFileSync(path.join(ROOT, file), 'utf8');
    if (['bin', 'commands', 'config', 'launch'].includes(moduleOf(file))) continue;
    assert.doesNotMatch(text, /process\.env/, file);
  }
});

test('text reaches a terminal or a log only where its control characters are escaped', () => {
  const homes = ['launch/terminal.ts', 'commands/progress.ts', 'bin/role.ts'];
  for (const file of FILES.filter((one) => !homes.includes(path.relative('src', one)))) {
    const text = readFileSync(path.join(ROOT, file), 'utf8');
    assert.doesNotMatch(text, /\bconsole\.|\b(?:stdout|stderr|terminal)\??\.write\(/, file);
  }
});

test('auth asks nobody on the network but issuers and directories', () => {
  const home = 'src/auth/identity/federation/read-keys.ts';
  for (const file of FILES.filter((one) => one !== home))
    assert.doesNotMatch(readFileSync(path.join(ROOT, file), 'utf8'), /(?<![.#\w])fetch\(/, file);
});

test('only the policy’s loaders do I/O in access', () => {
  for (const file of FILES.filter(
    (one) => moduleOf(one) === 'access' && !/\/(?:policy-watcher|load-policy)\.ts$/.test(one),
  )) {
    for (const specifier of importsOf(file)) assert.doesNotMatch(specifier, /^node:(?:fs|http|child)/, file);
  }
});

test('an exported name is declared once in src', () => {
  assert.deepEqual(declaredTwice(EXPORTED), []);
});

test('a name of a type is declared once in src, exported or not', () => {
  assert.deepEqual(declaredTwice(TYPE), []);
});

/** A schema and the type that it validates may have one name each in one file, not in two. */
function declaredTwice(declaration: RegExp): [string, string[]][] {
  const declared = new Map<string, string[]>();
  for (const file of FILES) {
    const text = readFileSync(path.join(ROOT, file), 'utf8');
    for (const [, name = ''] of text.matchAll(declaration))
      declared.set(name, [...new Set([...(declared.get(name) ?? []), file])]);
  }
  return [...declared].filter(([, files]) => files.length > 1);
}

test('there are no barrels and no drawers', () => {
  for (const file of FILES)
    assert.doesNotMatch(file, /(?:^|\/)(?:index|utils?|helpers?|common)(?:\.ts$|\/)/, file);
});

test('each invariant of the design has a test that names it', () => {
  const named = new Set<number>();
  for (const file of globSync('test/**/*.test.ts', { cwd: ROOT })) {
    const text = readFileSync(path.join(ROOT, file), 'utf8');
    for (const [, numbers] of text.matchAll(/test\(['`]invariants? ([\d and,]+):/g)) {
      for (const number of numbers?.match(/\d+/g) ?? []) named.add(Number(number));
    }
  }
  const all = Array.from({ length: 20 }, (_, index) => index + 1);
  assert.deepEqual(
    all.filter((number) => !named.has(number)),
    [],
  );
});
