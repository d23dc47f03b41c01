import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FILL, LOCATION } from '../../src/protocol/core-api.ts';

test('the core sends a reader into the cache, and nowhere else in the file system', () => {
  for (const file of ['blobs/sha256/ab/abcd', 'partial/sha256-abcd.1']) {
    assert.ok(LOCATION.safeParse({ file, size: 1 }).success, file);
    assert.ok(FILL.safeParse({ id: 'fill', file, size: null }).success, file);
  }
  for (const file of ['/etc/passwd', 'blobs/../../etc/passwd', 'index.db', '', 'blobs/', 'blobs/\0']) {
    assert.ok(!LOCATION.safeParse({ file, size: 1 }).success, file);
    assert.ok(!FILL.safeParse({ id: 'fill', file, size: 1 }).success, file);
  }
});
