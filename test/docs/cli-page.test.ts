import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { cliPage } from '../../tools/cli-page.ts';

test('docs/cli.md is what the verbs say', () => {
  const shipped = readFileSync(path.join(import.meta.dirname, '../../docs/cli.md'), 'utf8');
  assert.equal(shipped, cliPage(), 'it is stale: npm run docs:cli');
});
