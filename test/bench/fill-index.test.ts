import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { fillIndex, UNUSED_FOR } from '../../bench/fill-index.ts';
import { openStore } from '../../src/core/store/store.ts';
import { QUIET } from '../support/test-core.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-filled-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

test('the index that the benchmark fills is one that this version of the store reads', async () => {
  await fillIndex(directory, { links: 100, unused: 10 });
  const database = new DatabaseSync(path.join(directory, 'index.db'), { readOnly: true });
  const count = (table: string, where = 'true') =>
    database.prepare(`SELECT count(*) AS n FROM ${table} WHERE ${where}`).get()?.n;
  const old = `used_at <= ${Date.now() - UNUSED_FOR}`;
  assert.deepEqual(
    [count('link'), count('content'), count('content', old), count('child')],
    [100, 100, 10, 90],
  );
  database.close();
  await using store = await openStore(directory, QUIET, Date.now);
  assert.equal((await store.index.stats()).blobs, 100);
});
