/**
 * Invariant 17: what was authorized is what is fetched, because a formatted name means the repository that it
 * was made of.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadConfig } from '../../src/config/load-config.ts';
import {
  DOCKER_HUB,
  familiarName,
  parseUpstreamHost,
  type Repository,
  repositoryAt,
  repositoryOf,
  resolveRepository,
  type UpstreamHost,
  type UpstreamNames,
} from '../../src/registry/repository.ts';
import {
  CORE_PULL_PATH,
  parseCorePull,
  parseTarget,
  type RepositoryRoute,
  resourceOf,
} from '../../src/registry/route.ts';

const LABELS = [
  'nexus',
  'ghcr',
  'io',
  'docker',
  'localhost',
  'registry',
  'corp',
  'v2',
  'index',
  'library',
  '10',
  'a-b',
];

/** Hosts as people write them, with and without a domain and a port. */
const host: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(fc.constantFrom(...LABELS), { minLength: 1, maxLength: 3 }),
    fc.constantFrom('', '', ':443', ':5000'),
  )
  .map(([labels, port]) => `${labels.join('.')}${port}`);

const COMPONENTS = [
  ...LABELS,
  'docker.io',
  'nexus.corp',
  'manifests',
  'blobs',
  'tags',
  'list',
  'uploads',
  'referrers',
  'a__b',
];
const components = fc.array(fc.constantFrom(...COMPONENTS), { minLength: 1, maxLength: 4 });

/** The upstreams of a configuration: those of the hosts that the configuration takes. */
function namesOf(
  hosts: readonly string[],
): UpstreamNames & { readonly upstreams: ReadonlySet<UpstreamHost> } {
  const taken = hosts.filter((one) => isTaken(one)).flatMap((one) => parseUpstreamHost(one) ?? []);
  return { upstreams: new Set([DOCKER_HUB, ...taken]), self: new Set(['mirror.corp']) };
}

/** As load-config does, which the test below compares. */
function isTaken(one: string): boolean {
  return parseUpstreamHost(one) !== undefined && one !== 'index.docker.io' && one !== 'registry-1.docker.io';
}

const configuration = fc.array(host, { maxLength: 4 }).map(namesOf);
const repository = fc
  .tuple(configuration, fc.nat(), components)
  .map(([names, which, parts]): { names: UpstreamNames; repository: Repository | undefined } => {
    const upstreams = [...names.upstreams];
    const upstream = upstreams[which % upstreams.length] ?? DOCKER_HUB;
    return { names, repository: repositoryAt(upstream, parts.join('/')) };
  });

test('invariant 17: a formatted name means the repository that it was made of, in every configuration', () => {
  fc.assert(
    fc.property(repository, ({ names, repository: one }) => {
      fc.pre(one !== undefined);
      assert.deepEqual(resolveRepository(one.name, [], names), one);
      assert.deepEqual(resolveRepository(familiarName(one, names), [], names), one);
      assert.deepEqual(repositoryOf(one.upstream, one.path, names), one);
    }),
    { numRuns: 2000 },
  );
});

const resource = fc.constantFrom(
  'manifests/latest',
  `blobs/sha256:${'0'.repeat(64)}`,
  'tags/list',
  'tags/list?n=5',
);

test('invariant 17: what a request target was authorized as is what the core is asked for', () => {
  const written = fc.tuple(
    fc.array(host, { maxLength: 4 }),
    fc.option(host),
    components,
    resource,
    fc.constantFrom('inside', 'before', 'beside'),
  );
  fc.assert(
    fc.property(written, ([hosts, prefix, parts, what, where]) => {
      const names = namesOf(hosts);
      const parsed = parseTarget(targetOf(where, prefix ?? hosts[0], parts.join('/'), what), names);
      fc.pre('route' in parsed && 'repository' in parsed.route);
      const { route } = parsed as { route: RepositoryRoute };
      const { upstream, path: inside } = route.repository;
      const handed = parseCorePull(
        `${CORE_PULL_PATH}${resourceOf(route)}`,
        repositoryOf(upstream, inside, names),
      );
      assert.deepEqual(handed, { route });
    }),
    { numRuns: 2000 },
  );
});

function targetOf(where: string, prefix: string | undefined, name: string, what: string): string {
  if (prefix === undefined) return `/v2/${name}/${what}`;
  if (where === 'before') return `/${prefix}/v2/${name}/${what}`;
  if (where === 'inside') return `/v2/${prefix}/${name}/${what}`;
  return `/v2/${name}/${what}${what.includes('?') ? '&' : '?'}ns=${prefix}`;
}

test('the core takes no other spelling of a repository', () => {
  const names = namesOf(['ghcr.io']);
  for (const [upstream, inside] of [
    ['docker.io', 'alpine'],
    ['index.docker.io', 'library/alpine'],
    ['quay.io', 'acme/tool'],
    ['', 'library/alpine'],
    ['docker.io', ''],
    ['docker.io', 'library//alpine'],
    ['docker.io', 'library/../alpine'],
  ] as const)
    assert.equal(repositoryOf(upstream, inside, names), undefined, `${upstream} ${inside}`);
});

test('invariant 17: a configuration takes a host exactly if its names mean its own repositories', async () => {
  await using stack = new AsyncDisposableStack();
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-hosts-'));
  stack.defer(() => rm(home, { recursive: true }));
  await mkdir(path.join(home, 'config'));
  await fc.assert(
    fc.asyncProperty(host, async (one) => {
      await writeFile(
        path.join(home, 'config/hubgate.yaml'),
        `upstreams:\n  "${one}": { url: https://registry.corp }\n`,
      );
      const loaded = await loadConfig({ directory: home, environment: {}, readsSecrets: false });
      const faults = 'faults' in loaded ? loaded.faults : [];
      assert.equal(faults.length, isTaken(one) ? 0 : 1, JSON.stringify({ one, faults }));
    }),
    { numRuns: 200 },
  );
});
