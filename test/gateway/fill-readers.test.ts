import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, beforeEach, test } from 'node:test';
import { FillInterrupted, HELD_BACK } from '../../src/gateway/delivery/blob-reader.ts';
import { ChunkCache } from '../../src/gateway/delivery/chunk-cache.ts';
import { SharedFills } from '../../src/gateway/delivery/shared-fill.ts';
import { DELIVERY } from '../../src/gateway/limits.ts';
import { readLines } from '../../src/platform/ipc/json-lines.ts';
import type { FillProgressLine } from '../../src/protocol/core-api.ts';

const SIZE = 4 * DELIVERY.chunk;

let directory: string;
let file: string;
let fills: SharedFills;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-readers-'));
  file = path.join(directory, 'partial');
});

beforeEach(() => {
  fills = new SharedFills(new ChunkCache());
});

after(() => rm(directory, { recursive: true }));

/** A reader of the fill `id`, to whom `say` announces how far that has come. */
async function reader({ id = 'fill', isSized = true, joined = false } = {}) {
  const lines = new PassThrough();
  const announcements = readLines(lines);
  const size = isSized ? SIZE : undefined;
  const source = await fills.open({ id, file, size, announcements, joined });
  const say = (progress: FillProgressLine) => void lines.write(`${JSON.stringify(progress)}\n`);
  return { source, say, lines };
}

test('readers of one fill share its chunks once they are whole; one alone has none', async () => {
  await writeFile(file, Buffer.alloc(SIZE, 1));
  const one = await reader();
  one.say({ kind: 'filling', written: DELIVERY.chunk + 1 });
  await one.source.available(0);
  assert.equal(one.source.chunk?.(0, DELIVERY.chunk), undefined);
  const other = await reader({ joined: true });
  const [first, second] = await Promise.all([
    one.source.chunk?.(0, DELIVERY.chunk),
    other.source.chunk?.(0, DELIVERY.chunk),
  ]);
  assert.equal(first?.bytes.buffer, second?.bytes.buffer);
  assert.equal(first?.bytes.length, DELIVERY.chunk);
  assert.equal(one.source.chunk?.(DELIVERY.chunk, DELIVERY.chunk), undefined, 'one byte of that is there');
  one.say({ kind: 'filling', written: 2 * DELIVERY.chunk });
  await one.source.available(DELIVERY.chunk + 1);
  assert.equal(
    (await other.source.chunk?.(DELIVERY.chunk + 10, DELIVERY.chunk))?.bytes.length,
    DELIVERY.chunk - 10,
  );
  await other.source[Symbol.asyncDispose]();
  assert.equal(one.source.chunk?.(0, DELIVERY.chunk), undefined);
  await one.source[Symbol.asyncDispose]();
});

test('a fill is followed once: who joins it goes by what the first is told, also when that one has left', async () => {
  await writeFile(file, Buffer.alloc(SIZE, 1));
  const first = await reader();
  const late = await Promise.all([reader({ joined: true }), reader({ joined: true })]);
  assert.deepEqual(
    late.map(({ lines }) => lines.destroyed),
    [true, true],
  );
  const waiting = Promise.all(late.map(({ source }) => source.available(0)));
  first.say({ kind: 'filling', written: DELIVERY.chunk });
  assert.deepEqual(await waiting, [DELIVERY.chunk, DELIVERY.chunk]);
  await first.source[Symbol.asyncDispose]();
  assert.ok(!first.lines.destroyed);
  first.say({ kind: 'verified', size: SIZE });
  for (const { source } of late) {
    assert.equal(await source.available(DELIVERY.chunk), SIZE);
    assert.equal(await source.read(Buffer.alloc(10), DELIVERY.chunk, 10), 10);
    await source[Symbol.asyncDispose]();
  }
  assert.ok(first.lines.destroyed);
});

test('where a fill breaks off, it does so for all its readers, and who comes then follows it anew', async () => {
  await writeFile(file, Buffer.alloc(SIZE, 1));
  const [first, joined] = [await reader(), await reader({ joined: true })];
  first.lines.destroy(new Error('the core has gone'));
  await assert.rejects(async () => first.source.available(0), FillInterrupted);
  await assert.rejects(async () => joined.source.available(0), FillInterrupted);
  const again = await reader({ joined: true });
  again.say({ kind: 'filling', written: DELIVERY.chunk });
  assert.equal(await again.source.available(0), DELIVERY.chunk);
  for (const { source } of [first, joined, again]) await source[Symbol.asyncDispose]();
});

test('what a fill costs is told to whom it was begun for, whoever was here before', async () => {
  await writeFile(file, Buffer.alloc(SIZE, 1));
  const cost = { upstreamRequests: 2, countedPulls: 0 };
  const [early, owner] = [await reader({ joined: true }), await reader()];
  early.say({ kind: 'verified', size: SIZE });
  owner.say({ kind: 'verified', size: SIZE, cost });
  for (const { source } of [early, owner]) assert.equal(await source.available(0), SIZE);
  assert.deepEqual([early.source.trailingCost(), owner.source.trailingCost()], [undefined, cost]);
  for (const { source } of [early, owner]) await source[Symbol.asyncDispose]();
});

test('a fill that begins anew in the same file shares nothing with the one before', async () => {
  for (const [id, value] of [
    ['first', 1],
    ['second', 2],
  ] as const) {
    await writeFile(file, Buffer.alloc(SIZE, value));
    const readers = [await reader({ id }), await reader({ id, joined: true })];
    readers[0]?.say({ kind: 'filling', written: SIZE });
    for (const { source } of readers) {
      await source.available(0);
      assert.equal((await source.chunk?.(0, DELIVERY.chunk))?.bytes[0], value);
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
