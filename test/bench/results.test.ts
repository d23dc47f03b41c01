import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { readResults, writeResult } from '../../bench/results.ts';

test('a group of cases that measures nothing leaves its earlier result alone', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-results-'));
  try {
    const group = { group: 'growth', title: 'Growth', quick: false, rounds: 1 };
    const rows = [{ case: 'manifest', server: 'hubgate', samples: [{ seconds: 1 }] }];
    await writeResult(directory, { ...group, rows });
    await writeResult(directory, { ...group, rows: [] });
    assert.deepEqual(
      (await readResults(directory)).map((one) => one.rows),
      [rows],
    );
  } finally {
    await rm(directory, { recursive: true });
  }
});
