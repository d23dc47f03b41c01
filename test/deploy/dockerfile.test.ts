import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

const FILE = path.join(import.meta.dirname, '../../Dockerfile');

test('the image is built only when npm can reach its registry, so that a proxy that refuses is named at once', async () => {
  const steps = (await readFile(FILE, 'utf8')).replaceAll('\\\n', ' ').split('\n');
  const installing = steps.filter((step) => step.startsWith('RUN') && step.includes('npm ci'));
  assert.ok(installing.length > 0);
  for (const step of installing) assert.match(step, /node check-registry\.mjs && npm ci/);
});
