import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { policySchema } from '../../src/access/policy-json-schema.ts';

const CONFIG = path.join(import.meta.dirname, '../../config');

test('the schema that is shipped is the one that `hubgate schema access` prints, and the policy names it', () => {
  const shipped = readFileSync(path.join(CONFIG, 'access.schema.json'), 'utf8');
  assert.deepEqual(JSON.parse(shipped), JSON.parse(JSON.stringify(policySchema())));
  const policy = readFileSync(path.join(CONFIG, 'access.yaml'), 'utf8');
  assert.match(policy, /^# yaml-language-server: \$schema=access\.schema\.json\n/);
});
