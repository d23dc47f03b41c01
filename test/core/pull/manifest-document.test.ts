import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyInvalidManifest } from '../../../src/core/pull/validate-document.ts';

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

function judge(document: unknown, mediaType: typeof IMAGE | typeof INDEX = IMAGE): string | undefined {
  return whyInvalidManifest(
    Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)),
    mediaType,
  );
}

test('images and indexes are fit, with or without their own mediaType', () => {
  assert.equal(judge({ schemaVersion: 2, config: {}, layers: [] }), undefined);
  assert.equal(judge({ schemaVersion: 2, mediaType: IMAGE, config: {}, layers: [] }), undefined);
  assert.equal(judge({ schemaVersion: 2, manifests: [] }, INDEX), undefined);
  assert.equal(
    judge({ schemaVersion: 2, config: {}, layers: [], annotations: { a: '[[['.repeat(50) } }),
    undefined,
  );
});

test('what different clients would read differently is unfit', () => {
  assert.equal(
    judge({ schemaVersion: 2, mediaType: INDEX, layers: [] }),
    'of another mediaType than its Content-Type',
  );
  assert.equal(judge({ schemaVersion: 2, manifests: [], layers: [] }), 'an index and an image at once');
  assert.equal(
    judge({ schemaVersion: 2, manifests: [], layers: [] }, INDEX),
    'an index and an image at once',
  );
  assert.equal(
    judge({ schemaVersion: 2, manifests: [], config: {} }, INDEX),
    'an index and an image at once',
  );
});

test('what is no manifest is unfit', () => {
  assert.equal(judge({ schemaVersion: 1, fsLayers: [] }), 'not of schema version 2');
  assert.equal(judge('<html>'), 'not JSON');
  assert.equal(judge('[]'), 'not a JSON object');
  assert.equal(judge('null'), 'not a JSON object');
  assert.equal(judge(`{"a":${'['.repeat(40)}${']'.repeat(40)}}`), 'nested deeper than 32 levels');
  assert.equal(judge('['.repeat(4 * 1024 * 1024)), 'nested deeper than 32 levels');
});
