import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { RecentPulls } from '../../../src/core/pull/recent-pulls.ts';
import type { Digest } from '../../../src/registry/digest.ts';
import type { Tag } from '../../../src/registry/reference.ts';
import { DOCKER_HUB, type Repository } from '../../../src/registry/repository.ts';
import { imageOf, indexOf, type TestImage, type TestManifest } from '../../support/image.ts';

const ALPINE = {
  upstream: DOCKER_HUB,
  path: 'library/alpine',
  name: 'docker.io/library/alpine',
} as Repository;
const NGINX = { upstream: DOCKER_HUB, path: 'library/nginx', name: 'docker.io/library/nginx' } as Repository;

const amd64 = imageOf();
const arm64 = imageOf();
const index = indexOf([amd64, arm64]);

let now: number;
let recent: RecentPulls;

beforeEach(() => {
  now = 0;
  recent = new RecentPulls(() => now);
});

const tagged = (
  method: 'GET' | 'HEAD',
  manifest: TestManifest,
  tag = 'latest',
  caller = 'ana',
  of = ALPINE,
) =>
  recent.ofManifest(caller, of, {
    reference: { kind: 'tag', tag: tag as Tag },
    method,
    digest: manifest.digest,
    bytes: method === 'GET' ? manifest.bytes : undefined,
  });

const named = (method: 'GET' | 'HEAD', { digest, bytes }: TestManifest, caller = 'ana', of = ALPINE) =>
  recent.ofManifest(caller, of, {
    reference: { kind: 'digest', digest },
    method,
    digest,
    bytes: method === 'GET' ? bytes : undefined,
  });

const blob = (digest: Digest | undefined, caller = 'ana', of = ALPINE) =>
  recent.ofBlob(caller, of, digest as Digest);

/** What follows the root: the manifest of a platform, its config and its layers. */
const rest = (image: TestImage) => [
  named('GET', image.manifests[0] as TestManifest),
  blob(image.config),
  blob(image.layers[0]),
  // A layer that broke off is asked for again.
  blob(image.layers[0]),
];

const isOne = (ids: string[]) => assert.equal(new Set(ids).size, 1, ids.join(' '));

for (const [client, begin] of Object.entries({
  'docker, containerd': () => [tagged('HEAD', index), named('GET', index)],
  'skopeo, podman': () => [tagged('GET', index)],
  'one that tries both ways': () => [tagged('HEAD', index), tagged('GET', index), named('GET', index)],
  'a pull by digest': () => [named('HEAD', index), named('GET', index)],
})) {
  test(`a tag or digest and what follows it are one pull, and the same once more is another: ${client}`, () => {
    const first = [...begin(), ...rest(amd64)];
    isOne(first);
    now += 60_000;
    const second = [...begin(), ...rest(amd64)];
    isOne(second);
    assert.notEqual(first[0], second[0]);
  });
}

test('pulls are of one caller and one repository', () => {
  const pull = tagged('HEAD', index);
  assert.notEqual(named('GET', index, 'bo'), pull);
  assert.notEqual(named('GET', index, 'ana', NGINX), pull);
  assert.equal(named('GET', index), pull);
});

test('two tags that are pulled at the same time are told apart by what they name', () => {
  const other = imageOf();
  const [one, two] = [tagged('HEAD', index, '3.20'), tagged('HEAD', other, '3.19')];
  assert.notEqual(one, two);
  isOne([one, named('GET', index), ...rest(arm64)]);
  isOne([two, named('GET', other), blob(other.config), blob(other.layers[0])]);
  // Two tags of one manifest are two pulls too.
  assert.notEqual(tagged('HEAD', other, '3.18'), two);
});

test('a daemon that only looks whether a tag has moved begins a pull each time', () => {
  assert.notEqual(tagged('HEAD', index), tagged('HEAD', index));
  assert.notEqual(named('HEAD', index), named('HEAD', index));
});

test('what a tag names is pulled by digest later: that is another pull', () => {
  const first = [tagged('GET', index), ...rest(amd64)];
  isOne(first);
  const second = named('GET', index);
  assert.notEqual(second, first[0]);
  isOne([second, ...rest(arm64)]);
});

test('what a client has already is not asked for, and what follows belongs to its pull all the same', () => {
  const first = [tagged('GET', index), ...rest(amd64)];
  isOne(first);
  // The index and the manifest are there; a layer was removed.
  const second = tagged('HEAD', index);
  assert.notEqual(second, first[0]);
  isOne([second, named('GET', arm64.manifests[0] as TestManifest), blob(arm64.config)]);
  assert.equal(blob(`sha256:${'0'.repeat(64)}` as Digest), second);
});

test('after a restart a pull goes on as one other', () => {
  isOne([blob(amd64.config), blob(amd64.layers[0])]);
});

test('bytes that are no manifest name nothing', () => {
  const bytes = Buffer.from('null');
  const odd: TestManifest = { ...amd64, bytes };
  isOne([tagged('GET', odd), blob(amd64.config)]);
});

test('a pull ends half an hour after its last request, and not before', () => {
  const first = tagged('GET', index);
  now += 29 * 60_000;
  assert.equal(blob(amd64.config), first);
  now += 29 * 60_000;
  assert.equal(blob(amd64.layers[0]), first);
  now += 31 * 60_000;
  assert.notEqual(blob(amd64.layers[0]), first);
});

test('it ends also where its caller pulls other things', () => {
  const first = tagged('GET', amd64, 'one');
  now += 20 * 60_000;
  const second = tagged('GET', arm64, 'two');
  now += 20 * 60_000;
  assert.notEqual(blob(amd64.config), first);
  assert.equal(blob(arm64.config), second);
});

test('of a caller that begins pull after pull the latest are known', () => {
  const images = Array.from({ length: 6 }, () => imageOf());
  const ids = images.map((image, at) => tagged('GET', image, `v${at}`));
  assert.equal(new Set(ids).size, 6);
  assert.deepEqual(
    images.slice(2).map(({ config }) => blob(config)),
    ids.slice(2),
  );
});
