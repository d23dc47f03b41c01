import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, beforeEach, test } from 'node:test';
import { HELD_BACK, openFill, readLines } from '../../src/gateway/handover/blob-source.ts';
import { ChunkCache } from '../../src/gateway/handover/chunk-cache.ts';
import { CHUNK } from '../../src/gateway/handover/spare-buffers.ts';
import type { Progress } from '../../src/registry/core-api.ts';

const SIZE = 4 * CHUNK;

let directory: string;
let file: string;
let chunks: ChunkCache;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-readers-'));
  file = path.join(directory, 'partial');
});

beforeEach(() => {
  chunks = new ChunkCache();
});

after(() => rm(directory, { recursive: true }));

/** A reader of the fill `id`, to whom `say` announces how far that has come. */
async function reader({ id = 'fill', isSized = true } = {}) {
  const lines = new PassThrough();
  const announcements = readLines(lines);
  const size = isSized ? SIZE : undefined;
  const source = await openFill({ id, file, size, announcements, onCost: () => {}, chunks });
  const say = (progress: Progress) => void lines.write(`${JSON.stringify(progress)}\n`);
  return { source, say };
}

test('readers of one fill share its chunks once they are whole; one alone has none', async () => {
  await writeFile(file, Buffer.alloc(SIZE, 1));
  const one = await reader();
  one.say({ kind: 'filling', written: CHUNK + 1 });
  await one.source.available(0);
  assert.equal(one.source.chunk?.(0, CHUNK), undefined);
  const other = await reader();
  other.say({ kind: 'filling', written: 2 * CHUNK });
  await other.source.available(0);
  const [first, second] = await Promise.all([one.source.chunk?.(0, CHUNK), other.source.chunk?.(0, CHUNK)]);
  assert.equal(first?.bytes.buffer, second?.bytes.buffer);
  assert.equal(first?.bytes.length, CHUNK);
  assert.equal(one.source.chunk?.(CHUNK, CHUNK), undefined, 'it knows of one byte of that');
  assert.equal((await other.source.chunk?.(CHUNK + 10, CHUNK))?.bytes.length, CHUNK - 10);
  await other.source[Symbol.asyncDispose]();
  assert.equal(one.source.chunk?.(0, CHUNK), undefined);
  await one.source[Symbol.asyncDispose]();
});

test('a fill that begins anew in the same file shares nothing with the one before', async () => {
  for (const [id, value] of [
    ['first', 1],
    ['second', 2],
  ] as const) {
    await writeFile(file, Buffer.alloc(SIZE, value));
    const readers = [await reader({ id }), await reader({ id })];
    for (const { source, say } of readers) {
      say({ kind: 'filling', written: SIZE });
      await source.available(0);
      assert.equal((await source.chunk?.(0, CHUNK))?.bytes[0], value);
    }
    for (const { source } of readers) await source[Symbol.asyncDispose]();
  }
});

test('invariant 8: the last 64 KiB wait for the digest, however much is written', async () => {
  await writeFile(file, Buffer.alloc(2 * SIZE));
  const { source, say } = await reader();
  say({ kind: 'filling', written: SIZE / 2 });
  assert.equal(await source.available(0), SIZE / 2);
  say({ kind: 'filling', written: SIZE });
  assert.equal(await source.available(SIZE / 2), SIZE - HELD_BACK);
  say({ kind: 'filling', written: 2 * SIZE });
  say({ kind: 'verified', size: SIZE });
  assert.equal(await source.available(SIZE - HELD_BACK), SIZE, 'and not before that is said');
  await source[Symbol.asyncDispose]();
});

test('invariant 8: where nobody says how long a blob is, any bytes may be its last', async () => {
  await writeFile(file, Buffer.alloc(SIZE));
  const { source, say } = await reader({ isSized: false });
  say({ kind: 'filling', written: SIZE });
  assert.equal(await source.available(0), SIZE - HELD_BACK);
  await source[Symbol.asyncDispose]();
});
