import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { escapeControls, escapeControlsInLines } from '../../src/platform/escape-controls.ts';
import { ALL_CONTROLS, UNPRINTABLE } from '../support/controls.ts';

const texts = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.oneof(fc.constantFrom(...ALL_CONTROLS), fc.constantFrom('a', 'é', '"', '\\')) }),
);

test('whatever a text has, no control character is left of it but the ends of its lines', () => {
  fc.assert(
    fc.property(texts, (text) => {
      assert.doesNotMatch(escapeControlsInLines(text), UNPRINTABLE);
      assert.doesNotMatch(escapeControls(text), UNPRINTABLE);
      assert.ok(!escapeControls(text).includes('\n'));
    }),
    { numRuns: 2000 },
  );
});

test('what is printable stays as it is, and a document of JSON the same document', () => {
  assert.equal(escapeControlsInLines('Zürich → 日本 🐋\n"\\"'), 'Zürich → 日本 🐋\n"\\"');
  // The texts are values. V8 14.6 can take the key "\u0001" for the key "\\" of a document that it parsed
  // before.
  fc.assert(
    fc.property(fc.array(texts), (values) => {
      assert.deepEqual(JSON.parse(escapeControlsInLines(JSON.stringify({ values }, undefined, 2))), {
        values,
      });
      assert.deepEqual(JSON.parse(escapeControls(JSON.stringify({ values }))), { values });
    }),
    { numRuns: 1000 },
  );
});
