/**
 * A name is hosted or mirrored by its words alone, and never both: what an upstream has makes no difference.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  familiarName,
  type Repository,
  repositoryAt,
  repositoryOf,
  resolveRepository,
  type UpstreamNames,
} from '../../src/registry/repository.ts';
import { parseTarget, type Route } from '../../src/registry/route.ts';

const NAMES: UpstreamNames = {
  upstreams: new Set(['docker.io', 'ghcr.io']),
  self: new Set(['mirror.corp']),
  hosted: new Set(['acme-internal', 'team/base']),
};
const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
const ID = '0123456789abcdef'.repeat(2);

function routeOf(target: string): Route | undefined {
  const parsed = parseTarget(target, NAMES);
  return 'route' in parsed ? parsed.route : undefined;
}

function repositoryIn(target: string): string | undefined {
  const route = routeOf(target);
  return route !== undefined && 'repository' in route ? route.repository.name : undefined;
}

test('a name without an upstream is hosted in a hosted namespace, and with one it is that upstream’s', () => {
  const forms: [target: string, repository: string][] = [
    ['/v2/acme-internal/app/manifests/1', 'hosted/acme-internal/app'],
    ['/v2/acme-internal/a/b/c/manifests/1', 'hosted/acme-internal/a/b/c'],
    ['/v2/acme-internal/app/manifests/1?ns=mirror.corp', 'hosted/acme-internal/app'],
    ['/v2/team/base/app/manifests/1', 'hosted/team/base/app'],
    ['/v2/docker.io/acme-internal/app/manifests/1', 'docker.io/acme-internal/app'],
    ['/docker.io/v2/acme-internal/app/manifests/1', 'docker.io/acme-internal/app'],
    ['/v2/acme-internal/app/manifests/1?ns=docker.io', 'docker.io/acme-internal/app'],
    ['/v2/ghcr.io/acme-internal/app/manifests/1', 'ghcr.io/acme-internal/app'],
    // These are outside of the namespaces.
    ['/v2/acme-internal/manifests/1', 'docker.io/library/acme-internal'],
    ['/v2/acme-internals/app/manifests/1', 'docker.io/acme-internals/app'],
    ['/v2/acme/acme-internal/manifests/1', 'docker.io/acme/acme-internal'],
    ['/v2/team/app/manifests/1', 'docker.io/team/app'],
    ['/v2/team/base/manifests/1', 'docker.io/team/base'],
    ['/v2/hosted/acme-internal/app/manifests/1', 'docker.io/hosted/acme-internal/app'],
  ];
  for (const [target, repository] of forms) assert.equal(repositoryIn(target), repository, target);
  for (const target of [
    '/hosted/v2/acme-internal/app/manifests/1',
    '/v2/acme-internal/app/tags/list?ns=hosted',
  ])
    assert.deepEqual(parseTarget(target, NAMES), { refusal: 'NAME_UNKNOWN' }, target);
});

test('invariant 17: a formatted name means the repository that it was made of, hosted or not', () => {
  const parts = ['acme-internal', 'team', 'base', 'hosted', 'library', 'app', 'docker.io'];
  const one = fc
    .tuple(
      fc.constantFrom('hosted', 'docker.io', 'ghcr.io'),
      fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 4 }),
    )
    .map(([upstream, segments]): Repository | undefined =>
      upstream === 'hosted'
        ? repositoryOf(upstream, segments.join('/'), NAMES)
        : repositoryAt(upstream as Repository['upstream'], segments.join('/')),
    );
  fc.assert(
    fc.property(one, (repository) => {
      fc.pre(repository !== undefined);
      assert.deepEqual(resolveRepository(familiarName(repository, NAMES), [], NAMES), repository);
      assert.deepEqual(repositoryOf(repository.upstream, repository.path, NAMES), repository);
    }),
    { numRuns: 2000 },
  );
});

test('without hosted namespaces nothing is hosted', () => {
  const names = { upstreams: NAMES.upstreams, self: NAMES.self };
  assert.equal(resolveRepository('acme-internal/app', [], names)?.name, 'docker.io/acme-internal/app');
  assert.equal(repositoryOf('hosted', 'acme-internal/app', names), undefined);
});

test('the targets of an upload', () => {
  const uploads = '/v2/acme-internal/app/blobs/uploads';
  for (const target of [uploads, `${uploads}/`]) assert.equal(routeOf(target)?.kind, 'uploads', target);
  const written = `${uploads}/?mount=${encodeURIComponent(DIGEST)}&from=acme-internal%2Fbase`;
  const mount = routeOf(written);
  assert.ok(mount?.kind === 'uploads');
  assert.equal(mount.mount, DIGEST);
  assert.equal(mount.from?.name, 'hosted/acme-internal/base');
  const elsewhere = routeOf(`${uploads}/?mount=${DIGEST}&from=library/alpine`);
  assert.ok(elsewhere?.kind === 'uploads');
  assert.equal(elsewhere.from?.name, 'docker.io/library/alpine');
  const nothing = routeOf(`${uploads}/?mount=${DIGEST}&from=../x`);
  assert.ok(nothing?.kind === 'uploads');
  assert.equal(nothing.from, undefined);
  const one = routeOf(`${uploads}/${ID}?digest=${DIGEST}`);
  assert.ok(one?.kind === 'upload');
  assert.deepEqual([one.id, one.digest], [ID, DIGEST]);
  const tags = routeOf(`/v2/acme-internal/app/manifests/${DIGEST}?tag=a&tag=b`);
  assert.ok(tags?.kind === 'manifest');
  assert.deepEqual(tags.tags, ['a', 'b']);
  const mirrored = routeOf(`/v2/library/alpine/manifests/${DIGEST}?tag=a`);
  assert.ok(mirrored?.kind === 'manifest');
  assert.equal(mirrored.tags, undefined);
});

test('an upload id is 32 hexadecimal digits and nothing else, so that it is no path', () => {
  const uploads = '/v2/acme-internal/app/blobs/uploads';
  for (const id of [
    'x',
    '..',
    ID.toUpperCase(),
    `${ID}0`,
    `${ID}/..`,
    `../${ID}`,
    `${ID}/`,
    ID.slice(1),
    `.${ID.slice(1)}`,
  ]) {
    const parsed = parseTarget(`${uploads}/${id}`, NAMES);
    assert.deepEqual(parsed, { refusal: 'BLOB_UPLOAD_UNKNOWN' }, id);
  }
  for (const target of [`${uploads}/${ID}?digest=x`, `${uploads}/?digest=sha256:x`, `${uploads}/?mount=x`])
    assert.deepEqual(parseTarget(target, NAMES), { refusal: 'DIGEST_INVALID' }, target);
});
