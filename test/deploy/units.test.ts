import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const UNITS = path.join(import.meta.dirname, '../../deploy/systemd');

test('every service says how many files it may have open, as a gateway takes connections by it', () => {
  const services = readdirSync(UNITS).filter((name) => name.endsWith('.service'));
  assert.equal(services.length, 4);
  for (const name of services)
    assert.match(readFileSync(path.join(UNITS, name), 'utf8'), /^LimitNOFILE=65536$/m, name);
});
