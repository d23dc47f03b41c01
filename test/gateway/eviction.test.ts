import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { test } from 'node:test';
import { openLocalCoreClient } from '../../src/gateway/clients/local-core-client.ts';
import type { BlobReader } from '../../src/gateway/delivery/blob-reader.ts';
import { type Digest, sha256Of } from '../../src/registry/digest.ts';
import { DOCKER_HUB, repositoryAt } from '../../src/registry/repository.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT, SHORT_LIMITS, TestCore } from '../support/test-core.ts';

const SIZE = 300_000;
const READERS = 200;
const ROUNDS = 5;

/** As the gateway reads it: in pieces, at the pace of the fill. */
async function read(source: BlobReader): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let position = 0; ; ) {
    const until = await source.available(position);
    if (until <= position) return Buffer.concat(pieces);
    const piece = Buffer.alloc(Math.min(64 * 1024, until - position));
    const length = await source.read(piece, position, piece.length);
    if (length === 0) throw new Error('a short body');
    pieces.push(piece.subarray(0, length));
    position += length;
  }
}

test('with everything evicted again and again, 200 readers get no short body', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  const image = imageOf({ layers: Array.from({ length: 5 }, () => randomBytes(SIZE)) });
  hub.push('library/alpine', 'latest', image);
  const limits = { ...SHORT_LIMITS, sweepEvery: 20 };
  await using core = await TestCore.start(hub, { limits, maxSize: SIZE, unusedFor: 1 });
  await using client = openLocalCoreClient({
    socket: path.join(core.directory, 'core.sock'),
    directory: path.join(core.directory, 'data'),
  });
  const repository = repositoryAt(DOCKER_HUB, 'alpine') ?? assert.fail();
  await core.ask('library/alpine/manifests/latest');

  const readOne = async (digest: Digest) => {
    const answer = await client.pull({ kind: 'blob', repository, digest }, { method: 'GET', private: false });
    assert.ok(answer.kind === 'blob', answer.kind);
    await using source = answer.source;
    // Whatever was told of a blob is long ago by now, and the blob may go.
    core.now += 61_000;
    assert.equal(sha256Of(await read(source)), digest);
    return answer.cache;
  };
  const states = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const layers = Array.from({ length: READERS }, (_, index) => image.layers[index % 5] ?? assert.fail());
    for (const state of await Promise.all(layers.map(readOne)))
      states.set(state, (states.get(state) ?? 0) + 1);
  }
  assert.ok((states.get('fill') ?? 0) > 5, 'nothing was evicted');
});
