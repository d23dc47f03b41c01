import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOB_LOCATION, FILL } from '../../src/protocol/core-api.ts';

test('the core sends a reader into the cache, and nowhere else in the file system', () => {
  const accepts = (file: string) => {
    const location = { kind: 'file', file };
    return [
      BLOB_LOCATION.safeParse({ ...location, size: 1 }).success,
      FILL.safeParse({ id: 'fill', location, size: null }).success,
    ];
  };
  for (const file of ['blobs/sha256/ab/abcd', 'partial/sha256-abcd.1'])
    assert.deepEqual(accepts(file), [true, true], file);
  for (const file of ['/etc/passwd', 'blobs/../../etc/passwd', 'index.db', '', 'blobs/', 'blobs/\0'])
    assert.deepEqual(accepts(file), [false, false], file);
});

test('a location of a kind that this gateway does not know is refused', () => {
  const file = 'blobs/sha256/ab/abcd';
  for (const kind of ['', 'url', 'FILE'])
    assert.ok(!BLOB_LOCATION.safeParse({ kind, file, size: 1 }).success, kind);
});
