import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manifestTypeOf } from '../../../src/core/upstream/manifest-type.ts';

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const DOCKER = 'application/vnd.docker.distribution.manifest.v2+json';

function typeOf(document: unknown, label?: string): string | undefined {
  return manifestTypeOf(label, Buffer.from(JSON.stringify(document)));
}

test('a manifest is what it says itself, or what it contains', () => {
  assert.equal(typeOf({ schemaVersion: 2, mediaType: DOCKER, layers: [] }), DOCKER);
  assert.equal(typeOf({ schemaVersion: 2, layers: [] }, 'text/plain'), IMAGE);
  assert.equal(typeOf({ schemaVersion: 2, manifests: [] }, 'application/octet-stream'), INDEX);
});

test('nothing else is a manifest', () => {
  for (const document of [
    { schemaVersion: 1, layers: [] },
    { layers: [] },
    { schemaVersion: 2 },
    { schemaVersion: 2, mediaType: 'text/html', layers: [] },
    { schemaVersion: 2, mediaType: null, layers: [] },
    { schemaVersion: 2, layers: {} },
    [],
    null,
  ])
    assert.equal(typeOf(document), undefined, JSON.stringify(document));
  assert.equal(manifestTypeOf(undefined, Buffer.from('<html>')), undefined);
  assert.equal(manifestTypeOf(undefined, Buffer.from('['.repeat(100_000))), undefined);
});

test('a label that says something is not overruled', () => {
  for (const label of ['text/html', 'application/vnd.api+json', DOCKER])
    assert.equal(typeOf({ schemaVersion: 2, layers: [] }, label), undefined, label);
});
