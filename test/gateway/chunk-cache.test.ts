import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkCache, type SharedChunk } from '../../src/gateway/delivery/chunk-cache.ts';
import { DELIVERY } from '../../src/gateway/limits.ts';

/** More than are kept. */
const MANY = 300;

function filledWith(value: number, log: number[] = []) {
  return async (buffer: Buffer) => {
    log.push(value);
    await new Promise((resolve) => setImmediate(resolve));
    buffer.fill(value);
    return buffer.length;
  };
}

test('a chunk is read once for all who want it at the same time, and not again while it is kept', async () => {
  const chunks = new ChunkCache();
  const reads: number[] = [];
  const take = () => chunks.take('a', DELIVERY.chunk, filledWith(1, reads));
  const taken = await Promise.all([take(), take(), take()]);
  taken.push(await take());
  assert.deepEqual(reads, [1]);
  for (const { bytes } of taken)
    assert.ok(bytes.length === DELIVERY.chunk && bytes.every((byte) => byte === 1));
});

test('a buffer is not used again while somebody still sends it, however many chunks have come since', async () => {
  const chunks = new ChunkCache();
  const slow = await chunks.take('slow', DELIVERY.chunk, filledWith(255));
  const [joined, late] = await Promise.all([
    chunks.take('joined', DELIVERY.chunk, filledWith(254)),
    chunks.take('joined', DELIVERY.chunk, filledWith(0)),
  ]);
  joined.release();
  const used = new Set<ArrayBufferLike>();
  for (let number = 0; number < MANY; number++) {
    const { bytes, release } = await chunks.take(`${number}`, DELIVERY.chunk, filledWith(number % 200));
    used.add(bytes.buffer);
    release();
  }
  assert.ok(slow.bytes.every((byte) => byte === 255));
  assert.ok(late.bytes.every((byte) => byte === 254));
  assert.ok(used.size < MANY, 'buffers are used again');
});

test('a chunk that cannot be read is an error for all who want it, and is tried again', async () => {
  const chunks = new ChunkCache();
  const fail = () => Promise.reject(new Error('the disk'));
  const both = await Promise.allSettled([
    chunks.take('a', DELIVERY.chunk, fail),
    chunks.take('a', DELIVERY.chunk, fail),
  ]);
  for (const { status } of both) assert.equal(status, 'rejected');
  const again: SharedChunk = await chunks.take('a', DELIVERY.chunk, filledWith(7));
  assert.equal(again.bytes[0], 7);
});
