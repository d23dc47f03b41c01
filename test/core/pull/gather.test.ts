import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { coalesceChunks } from '../../../src/core/pull/coalesce-chunks.ts';
import { Agent } from '../../../src/platform/undici.ts';

const KIB = 1024;
const PIECE = 512 * KIB;

/** Chunks in buffers of their own, as they come from a socket, with bytes that say where they were. */
function chunksOf(lengths: readonly number[]): Buffer[] {
  let at = 0;
  return lengths.map((length) => {
    const chunk = Buffer.from(new Uint8Array(length).map((_, index) => (at + index) % 251));
    at += length;
    return chunk;
  });
}

async function gathered(body: Readable, from = 0): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  for await (const piece of coalesceChunks(body, from)) pieces.push(Buffer.from(piece));
  return pieces;
}

test('what comes in many small chunks goes on in few pieces, which end where pieces of the blob do', async () => {
  const chunks = chunksOf(Array.from({ length: 40 }, () => 60 * KIB));
  const all = Buffer.concat(chunks);
  const pieces = await gathered(Readable.from(chunks), 100 * KIB);
  assert.ok(Buffer.concat(pieces).equals(all));
  const whole = [412, 512, 512, 512, 452].map((kib) => kib * KIB);
  assert.deepEqual(
    pieces.map(({ length }) => length),
    whole,
  );
});

test('every byte comes once and in order, whatever the chunks', async () => {
  const lengths = fc.array(
    fc.oneof(fc.integer({ min: 1, max: 64 * KIB }), fc.constantFrom(PIECE, 3 * PIECE)),
    {
      maxLength: 20,
    },
  );
  await fc.assert(
    fc.asyncProperty(lengths, fc.nat(2 * PIECE), async (of, from) => {
      const chunks = chunksOf(of);
      const all = Buffer.concat(chunks);
      assert.ok(Buffer.concat(await gathered(Readable.from(chunks), from)).equals(all));
    }),
    { numRuns: 50 },
  );
});

test('parts of one buffer are left alone: whoever made it may still need it', async () => {
  const shared = Buffer.from(new Uint8Array(100).fill(7).buffer);
  const pieces = await gathered(Readable.from([shared.subarray(0, 40), shared.subarray(40)]));
  assert.equal(Buffer.concat(pieces).length, 100);
  assert.ok(shared.length === 100 && shared.every((byte) => byte === 7));
});

test('of a slow body there is what has come', async () => {
  const body = new Readable({ read() {} });
  body.push(Buffer.from('a'));
  body.push(Buffer.from('b'));
  const pieces = coalesceChunks(body, 0);
  assert.equal(String((await pieces.next()).value), 'ab');
  body.push(Buffer.from('c'));
  assert.equal(String((await pieces.next()).value), 'c');
  await pieces.return();
  assert.ok(body.destroyed);
});

test('what came before a body broke off comes before the error', async () => {
  async function* breaking() {
    yield Buffer.from('right');
    throw new Error('broken off');
  }
  const pieces = coalesceChunks(Readable.from(breaking()), 0);
  assert.equal(String((await pieces.next()).value), 'right');
  await assert.rejects(pieces.next(), /broken off/);
});

test('undici has no more use for a chunk that it has handed out, so its memory can be freed', async () => {
  const bytes = Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7) % 251));
  const all = Buffer.concat(Array.from({ length: 1024 }, () => bytes));
  const server = createServer((_request, response) => response.end(all)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const agent = new Agent();
  try {
    const origin = `http://127.0.0.1:${address.port}`;
    const { body } = await agent.request({ origin, path: '/', method: 'GET', highWaterMark: 2 * PIECE });
    const pieces = gathered(body);
    const chunks: Buffer[] = [];
    body.on('data', (chunk: Buffer) => chunks.push(chunk));
    assert.ok(Buffer.concat(await pieces).equals(all));
    assert.ok(
      chunks.some(({ length }) => length === 0),
      'no chunk’s memory was freed',
    );
  } finally {
    await agent.destroy();
    server.close();
  }
});
