import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import type { ContentStore } from '../../../src/core/store/content-store.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import type { BlobLocation, PartialLocation } from '../../../src/protocol/core-api.ts';
import { type Digest, parseDigest, sha256Of } from '../../../src/registry/digest.ts';

export interface OpenedContentStore extends AsyncDisposable {
  readonly store: ContentStore;
  /** Reads all bytes at a location, as a gateway does. */
  readAt(location: BlobLocation | PartialLocation): Promise<Buffer>;
}

const BYTES = Buffer.from('content');
const DIGEST = sha256Of(BYTES);
const OTHER = sha256Of(Buffer.from('other'));
const SHA512 = parseDigest(`sha512:${'ab'.repeat(64)}`) ?? assert.fail();
const DAY = 24 * 3_600_000;
/** More than a stream reads at once. */
const LARGE = randomBytes(5 * 1024 * 1024);
const LARGE_DIGEST = sha256Of(LARGE);

async function listed(store: ContentStore): Promise<Map<Digest, number>> {
  const all = await Array.fromAsync(store.list());
  return new Map(all.map(({ digest, size }) => [digest, size]));
}

async function openedBytes(store: ContentStore, digest: Digest): Promise<Buffer | undefined> {
  const stream = await store.open(digest);
  return stream && buffer(stream);
}

/** Resolves to the found size each time until `done` settles, and once after that. */
async function sizesUntil(store: ContentStore, done: Promise<unknown>): Promise<(number | undefined)[]> {
  let isDone = false;
  const end = done.finally(() => {
    isDone = true;
  });
  const sizes: (number | undefined)[] = [];
  while (!isDone) sizes.push((await store.find(DIGEST))?.size);
  await end;
  sizes.push((await store.find(DIGEST))?.size);
  return sizes;
}

/** Registers the tests that every content store must pass. `open` opens an empty one. */
export function testContentStore(name: string, open: (clock: Clock) => Promise<OpenedContentStore>): void {
  const check = (what: string, task: (opened: OpenedContentStore) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      await using opened = await open(Date.now);
      await task(opened);
    });

  check('published content is found, read and listed by its digest', async ({ store, readAt }) => {
    assert.equal(await store.find(DIGEST), undefined);
    assert.equal(await store.read(DIGEST), undefined);
    assert.equal(await store.open(DIGEST), undefined);
    assert.equal((await listed(store)).size, 0);
    for (const digest of [DIGEST, SHA512]) {
      await store.publish(digest, BYTES);
      const location = (await store.find(digest)) ?? assert.fail();
      assert.equal(location.size, BYTES.length);
      assert.deepEqual(await readAt(location), BYTES);
      assert.deepEqual(await store.read(digest), BYTES);
      assert.deepEqual(await openedBytes(store, digest), BYTES);
    }
    const sizes = [DIGEST, SHA512].map((digest) => [digest, BYTES.length] as const);
    assert.deepEqual(await listed(store), new Map(sizes));
  });

  for (const take of ['remove', 'quarantine'] as const)
    check(`content is gone after ${take}, and can be published again`, async ({ store }) => {
      // Nothing is there to be taken.
      await store[take](DIGEST);
      await store.publish(DIGEST, BYTES);
      await store.publish(OTHER, BYTES);
      await store[take](DIGEST);
      assert.equal(await store.find(DIGEST), undefined);
      assert.equal(await store.read(DIGEST), undefined);
      assert.equal(await store.open(DIGEST), undefined);
      assert.deepEqual([...(await listed(store)).keys()], [OTHER]);
      await store.publish(DIGEST, BYTES);
      assert.deepEqual(await store.read(DIGEST), BYTES);
    });

  check('large content is opened as a stream, which a signal ends', async ({ store }) => {
    await store.publish(LARGE_DIGEST, LARGE);
    assert.ok((await openedBytes(store, LARGE_DIGEST))?.equals(LARGE));
    const leaving = new AbortController();
    const stream = (await store.open(LARGE_DIGEST, { signal: leaving.signal })) ?? assert.fail();
    await assert.rejects(async () => {
      for await (const _bytes of stream) leaving.abort();
    });
  });

  check(
    'partial content can be read while it grows, and is no content before it is published',
    async (opened) => {
      const { store, readAt } = opened;
      const partial = await store.begin(DIGEST);
      assert.deepEqual([partial.resumeOffset, partial.size], [0, 0]);
      for (const end of [3, BYTES.length]) {
        await partial.append(BYTES.subarray(partial.size, end));
        assert.equal(partial.size, end);
        assert.deepEqual(await readAt(partial.location), BYTES.subarray(0, end));
        assert.equal(await store.find(DIGEST), undefined);
      }
      assert.equal((await listed(store)).size, 0);
      await partial.publish();
      assert.deepEqual(await store.read(DIGEST), BYTES);
      const next = await store.begin(DIGEST);
      assert.equal(next.resumeOffset, 0, 'what was published is not left as partial content');
      await next.discard();
    },
  );

  check('suspended partial content is resumed, cleared or discarded', async ({ store, readAt }) => {
    const begun = await store.begin(DIGEST);
    await begun.append(BYTES.subarray(0, 3));
    await begun.suspend();
    const resumed = await store.begin(DIGEST);
    assert.deepEqual([resumed.resumeOffset, resumed.size], [3, 3]);
    assert.deepEqual(Buffer.concat(await Array.fromAsync(resumed.readExisting())), BYTES.subarray(0, 3));
    await resumed.append(BYTES.subarray(3));
    assert.deepEqual(await readAt(resumed.location), BYTES);
    await resumed.clear();
    assert.deepEqual([resumed.resumeOffset, resumed.size], [0, 0]);
    assert.deepEqual(await Array.fromAsync(resumed.readExisting()), []);
    await resumed.append(BYTES);
    assert.deepEqual(await readAt(resumed.location), BYTES);
    await resumed.discard();
    const next = await store.begin(DIGEST);
    assert.equal(next.resumeOffset, 0);
    await next.discard();
    assert.equal(await store.find(DIGEST), undefined);
  });

  test(`${name}: partial content is cleared when it is too old to be resumed, and not before`, async () => {
    let later = 0;
    await using opened = await open(() => Date.now() + later);
    const { store } = opened;
    const begun = await store.begin(DIGEST);
    await begun.append(BYTES);
    await begun.suspend();
    for (const [wait, resumeOffset] of [
      [0, BYTES.length],
      [DAY + 3_600_000, 0],
    ] as const) {
      later = wait;
      await store.clearPartials();
      const next = await store.begin(DIGEST);
      assert.equal(next.resumeOffset, resumeOffset);
      await next.suspend();
    }
  });

  check('a probe writes nothing that stays, and the space is measured', async ({ store }) => {
    await store.probe();
    assert.equal((await listed(store)).size, 0);
    const { total, free, place } = await store.space();
    assert.ok(free > 0 && free <= total);
    assert.notEqual(place, '');
  });

  check(
    'two begins of one digest: the one that is suspended takes nothing from the other',
    async ({ store }) => {
      const [one, other] = await Promise.all([store.begin(DIGEST), store.begin(DIGEST)]);
      await Promise.all([one.suspend(), other.append(BYTES)]);
      await other.publish();
      assert.deepEqual(await store.read(DIGEST), BYTES);
    },
  );

  check('the same content can be published several times at once', async ({ store }) => {
    const partial = await store.begin(DIGEST);
    await partial.append(BYTES);
    await Promise.all([store.publish(DIGEST, BYTES), partial.publish(), store.publish(DIGEST, BYTES)]);
    assert.deepEqual(await store.read(DIGEST), BYTES);
    assert.deepEqual(await listed(store), new Map([[DIGEST, BYTES.length]]));
  });

  check('content that is being published is found whole or not at all', async ({ store }) => {
    const byBytes = await sizesUntil(store, store.publish(DIGEST, BYTES));
    await store.remove(DIGEST);
    const partial = await store.begin(DIGEST);
    await partial.append(BYTES);
    const byFill = await sizesUntil(store, partial.publish());
    for (const sizes of [byBytes, byFill]) {
      assert.equal(sizes.at(-1), BYTES.length);
      for (const size of sizes) assert.ok(size === undefined || size === BYTES.length);
    }
  });

  check('a reader reads removed content to its end', async ({ store }) => {
    await store.publish(LARGE_DIGEST, LARGE);
    const stream = (await store.open(LARGE_DIGEST)) ?? assert.fail();
    const chunks: Buffer[] = [];
    for await (const chunk of stream) {
      if (chunks.length === 0) await store.remove(LARGE_DIGEST);
      chunks.push(chunk);
    }
    assert.ok(Buffer.concat(chunks).equals(LARGE));
    assert.equal(await store.find(LARGE_DIGEST), undefined);
  });

  check('content that is removed and published at once is whole or gone', async ({ store }) => {
    for (let turn = 0; turn < 10; turn++) {
      await store.publish(DIGEST, BYTES);
      await Promise.all([store.remove(DIGEST), store.publish(DIGEST, BYTES)]);
      const bytes = await store.read(DIGEST);
      assert.ok(bytes === undefined || bytes.equals(BYTES));
      assert.deepEqual((await listed(store)).size, bytes === undefined ? 0 : 1);
    }
  });

  check('a list goes on while content is removed, and names what stays', async ({ store }) => {
    const all = Array.from({ length: 20 }, (_, index) => Buffer.from(String(index)));
    for (const bytes of all) await store.publish(sha256Of(bytes), bytes);
    const [first, ...others] = all.map((bytes) => sha256Of(bytes));
    assert.ok(first);
    const seen: Digest[] = [];
    for await (const { digest } of store.list()) {
      if (seen.length === 0) for (const other of others) await store.remove(other);
      seen.push(digest);
    }
    assert.ok(seen.includes(first));
  });
}
