import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseTarget, type Route } from '../../src/registry/route.ts';

const NAMES = {
  upstreams: new Set(['docker.io', 'ghcr.io', 'registry.corp:5000']),
  self: new Set(['mirror.corp', 'mirror.corp:8443']),
};
const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;

function routeOf(target: string): Route | undefined {
  const parsed = parseTarget(target, NAMES);
  return 'route' in parsed ? parsed.route : undefined;
}

function repositoryOf(target: string): string | undefined {
  const route = routeOf(target);
  return route !== undefined && 'repository' in route ? route.repository.name : undefined;
}

test('every written form of a name becomes one canonical repository', () => {
  const forms: [target: string, repository: string][] = [
    ['/v2/alpine/manifests/latest', 'docker.io/library/alpine'],
    ['/v2/library/alpine/manifests/latest', 'docker.io/library/alpine'],
    ['/v2/docker.io/alpine/manifests/latest', 'docker.io/library/alpine'],
    ['/v2/docker.io/library/alpine/manifests/latest', 'docker.io/library/alpine'],
    ['/v2/index.docker.io/library/alpine/manifests/latest', 'docker.io/library/alpine'],
    ['/docker.io/v2/library/alpine/manifests/latest', 'docker.io/library/alpine'],
    ['/v2/library/alpine/manifests/latest?ns=docker.io', 'docker.io/library/alpine'],
    ['/v2/library/alpine/manifests/latest?ns=registry-1.docker.io', 'docker.io/library/alpine'],
    ['/v2/docker.io/library/alpine/manifests/latest?ns=docker.io', 'docker.io/library/alpine'],
    ['/v2/library/alpine/manifests/latest?ns=mirror.corp', 'docker.io/library/alpine'],
    ['/v2/ghcr.io/acme/tool/manifests/v1', 'ghcr.io/acme/tool'],
    ['/v2/ghcr.io/tool/manifests/v1', 'ghcr.io/tool'],
    ['/ghcr.io/v2/acme/tool/manifests/v1', 'ghcr.io/acme/tool'],
    ['/v2/acme/tool/manifests/v1?ns=ghcr.io', 'ghcr.io/acme/tool'],
    ['/v2/ghcr.io/acme/tool/manifests/v1?ns=mirror.corp:8443', 'ghcr.io/acme/tool'],
    ['/v2/registry.corp:5000/team/app/manifests/v1', 'registry.corp:5000/team/app'],
    ['/v2/my.image/manifests/v1', 'docker.io/library/my.image'],
    ['/v2/a/manifests/b/manifests/c', 'docker.io/a/manifests/b'],
  ];
  for (const [target, repository] of forms) assert.equal(repositoryOf(target), repository, target);
});

test('each endpoint of the distribution spec is recognised', () => {
  for (const target of ['/v2/', '/v2', '/docker.io/v2/', '/v2/?ns=docker.io']) {
    assert.deepEqual(routeOf(target), { kind: 'ping' }, target);
  }
  const tag = routeOf('/v2/alpine/manifests/3.20');
  assert.deepEqual(tag?.kind === 'manifest' && tag.reference, { kind: 'tag', tag: '3.20' });
  const digest = routeOf(`/v2/alpine/manifests/${DIGEST}`);
  assert.deepEqual(digest?.kind === 'manifest' && digest.reference, { kind: 'digest', digest: DIGEST });
  assert.equal(routeOf(`/v2/alpine/blobs/${DIGEST}`)?.kind, 'blob');
  assert.equal(routeOf(`/v2/alpine/referrers/${DIGEST}?artifactType=application%2Fx`)?.kind, 'referrers');
  assert.equal(routeOf('/v2/_catalog')?.kind, 'catalog');
  const tags = routeOf('/v2/alpine/tags/list?n=10&last=3.19');
  assert.deepEqual(tags?.kind === 'tags' && tags.page, { n: 10, last: '3.19' });
});

test('the beginning of a push is recognised, so that it can be refused by name', () => {
  for (const target of [
    '/v2/alpine/blobs/uploads/',
    '/v2/alpine/blobs/uploads/4711',
    '/v2/a/b/blobs/uploads',
  ]) {
    assert.equal(routeOf(target)?.kind, 'mirrored-upload', target);
  }
});

test('an unknown upstream is no repository, in whichever form it is named', () => {
  for (const target of [
    '/v2/quay.io/acme/tool/manifests/v1',
    '/quay.io/v2/acme/tool/manifests/v1',
    '/v2/acme/tool/manifests/v1?ns=quay.io',
    '/quay.io/v2/',
    '/v2/?ns=quay.io',
    '/v2/localhost/tool/manifests/v1',
    '/v2/ghcr.io/acme/tool/manifests/v1?ns=docker.io',
    '/ghcr.io/v2/docker.io/library/alpine/manifests/v1',
    '/v2/alpine/manifests/v1?ns=docker.io&ns=ghcr.io',
  ]) {
    assert.deepEqual(parseTarget(target, NAMES), { refusal: 'NAME_UNKNOWN' }, target);
  }
});

test('nothing is decoded or normalised: a target outside the grammar is unknown', () => {
  const targets = [
    '/v2/library/%2e%2e/acme/secret/manifests/latest',
    '/v2/library/../acme/secret/manifests/latest',
    '/v2/library/..%2facme/secret/manifests/latest',
    '/v2/library/./alpine/manifests/latest',
    '/v2/library//alpine/manifests/latest',
    '//v2/library/alpine/manifests/latest',
    '/v2//library/alpine/manifests/latest',
    '/v2/library\\alpine/manifests/latest',
    '/v2/library/alpine%00/manifests/latest',
    '/v2/library/alpine\t/manifests/latest',
    '/v2/library/alpine/manifests/latest\r\n',
    '/v2/library/alpine;x=1/manifests/latest',
    '/v2/library/alpine/manifests/../../acme/secret/manifests/latest',
    '/V2/library/alpine/manifests/latest',
    '/v2/library/alpine',
    '/v2x/',
    '/',
    '',
    'v2/',
    '*',
    'https://mirror.corp/v2/library/alpine/manifests/latest',
    '/v2/library/älpine/manifests/latest',
  ];
  for (const target of targets)
    assert.deepEqual(parseTarget(target, NAMES), { refusal: 'NAME_UNKNOWN' }, target);
});

test('a name or a reference that cannot be is refused by the code that the specification has for it', () => {
  for (const [target, refusal] of [
    ['/v2/library/ALPINE/manifests/latest', 'NAME_INVALID'],
    ['/v2/library/-alpine/manifests/latest', 'NAME_INVALID'],
    ['/v2/library/alpine-/tags/list', 'NAME_INVALID'],
    [`/v2/lib___rary/alpine/blobs/${DIGEST}`, 'NAME_INVALID'],
    ['/v2/docker.io/library/Alpine/manifests/latest', 'NAME_INVALID'],
    [`/v2/${'a/'.repeat(130)}b/manifests/latest`, 'NAME_INVALID'],
    ['/v2/library/alpine/manifests/-bad', 'TAG_INVALID'],
    ['/v2/library/alpine/manifests/1.2.3+build.5', 'TAG_INVALID'],
    [`/v2/library/alpine/manifests/${'a'.repeat(129)}`, 'TAG_INVALID'],
    ['/v2/library/alpine/manifests/sha256:abc', 'DIGEST_INVALID'],
    ['/v2/library/alpine/manifests/sha256%3Aabc', 'NAME_UNKNOWN'],
    ['/v2/library/alpine/blobs/sha256:abc', 'DIGEST_INVALID'],
    ['/v2/library/alpine/blobs/latest', 'DIGEST_INVALID'],
    ['/v2/library/alpine/blobs/', 'DIGEST_INVALID'],
    ['/v2/library/alpine/referrers/latest', 'DIGEST_INVALID'],
    [`/v2/library/alpine/blobs/${DIGEST.toUpperCase()}`, 'DIGEST_INVALID'],
    ['/v2/library/alpine/manifests/', 'MANIFEST_UNKNOWN'],
  ] as const)
    assert.deepEqual(parseTarget(target, NAMES), { refusal }, target);
});

test('the colon of a digest may be encoded, and nothing else', () => {
  const encoded = DIGEST.replace(':', '%3A');
  for (const target of [
    `manifests/${encoded}`,
    `blobs/${encoded.replace('%3A', '%3a')}`,
    `referrers/${encoded}`,
  ]) {
    const route = routeOf(`/v2/library/alpine/${target}`);
    const digest = route?.kind === 'manifest' ? route.reference : route;
    assert.ok(digest !== undefined && 'digest' in digest && digest.digest === DIGEST, target);
  }
  for (const target of [
    `library/alpine/manifests/${encoded}%3A`,
    `library/alpine/manifests/${encoded.replace('%3A', '%253A')}`,
    `library/alpine/manifests/${DIGEST.replace('0', '%30')}`,
    'library/alpine/manifests/lat%65st',
    'library/alpine/manifests/a%3Ab',
    `library%2Falpine/manifests/${encoded}`,
    `${encoded}/manifests/latest`,
    'registry.corp%3A5000/team/app/manifests/v1',
  ])
    assert.deepEqual(parseTarget(`/v2/${target}`, NAMES), { refusal: 'NAME_UNKNOWN' }, target);
});

test('a page may be asked for in any length', () => {
  for (const [n, length] of [
    ['10000', 10_000],
    ['100000', 99_999],
    ['2147483648', 99_999],
    ['99999999999999999999', 99_999],
  ] as const) {
    const route = routeOf(`/v2/alpine/tags/list?n=${n}`);
    assert.deepEqual(route?.kind === 'tags' && route.page, { n: length });
  }
});

test('a page that is none is a malformed request', () => {
  for (const query of ['n=-1', 'n=1e400', 'n=NaN', 'n=', 'last=../x', 'last=']) {
    assert.deepEqual(parseTarget(`/v2/alpine/tags/list?${query}`, NAMES), { refusal: 'BAD_REQUEST' }, query);
  }
});

test('a repository never names more than its target spelt', () => {
  const piece = fc.constantFrom(
    ...[
      'v2',
      'library',
      'alpine',
      'acme',
      'secret',
      'docker.io',
      'ghcr.io',
      'quay.io',
      '..',
      '.',
      '',
      '%2e%2e',
    ],
    ...['%2f', '\\', ';', 'manifests', 'blobs', 'latest', 'tags', 'list', DIGEST, 'A', 'ä', '\t', '@', 'a:1'],
  );
  const target = fc.array(piece, { maxLength: 9 }).map((parts) => `/${parts.join('/')}`);
  fc.assert(
    fc.property(target, (text) => {
      const repository = repositoryOf(text);
      if (repository === undefined) return;
      const path = repository.replace(/^docker\.io\/(?:library\/)?|^ghcr\.io\//, '');
      assert.ok(text.includes(`/${path}/`), `${text} became ${repository}`);
      assert.doesNotMatch(text, /%|\\|\/\/|\/\.|[^\x21-\x7e]/);
    }),
    { numRuns: 20_000 },
  );
});
