import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { PartialContent } from '../../../src/core/store/content-store.ts';
import { FileContentStore } from '../../../src/core/store/file-content-store.ts';
import { RecordedContent } from '../../../src/core/store/recorded-content.ts';
import { scrub } from '../../../src/core/store/scrub.ts';
import { openStore, type Store } from '../../../src/core/store/store.ts';
import { type Digest, sha256Of } from '../../../src/registry/digest.ts';
import { QUIET } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';
import { waitFor } from '../../support/wait-for.ts';

const BYTES = Buffer.from('content');
const DIGEST = sha256Of(BYTES);
const FILE = `blobs/sha256/${DIGEST.slice(7, 9)}/${DIGEST.slice(7)}`;

let directory: string;
let store: Store;
let log: LoggedLine[];

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-content-'));
  log = [];
  store = await openStore(directory, testLog(log), Date.now);
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function aside(): Promise<string[]> {
  return readdir(path.join(directory, 'aside'));
}

for (const look of ['find', 'read'] as const) {
  test(`content of another size than it had is set aside when it is asked for, by ${look}`, async () => {
    await store.content.publish(DIGEST, BYTES);
    await truncate(path.join(directory, FILE), 3);
    assert.equal(await store.content[look](DIGEST), undefined);
    assert.deepEqual(await aside(), [DIGEST.replace(':', '-')]);
    await store.content.publish(DIGEST, BYTES);
    assert.deepEqual(await store.content.read(DIGEST), BYTES);
  });
}

test('content that is wrong and cannot be set aside is fetched again all the same, and the log says so', async () => {
  await store.content.publish(DIGEST, BYTES);
  await truncate(path.join(directory, FILE), 3);
  await mkdir(path.join(directory, 'aside', DIGEST.replace(':', '-'), 'in-the-way'), { recursive: true });
  assert.equal(await store.content.find(DIGEST), undefined);
  assert.ok(log.some(({ msg }) => msg === 'content in the cache cannot be used'));
  await store.content.publish(DIGEST, BYTES);
  assert.deepEqual(await store.content.read(DIGEST), BYTES);
});

test('what was removed or set aside is counted no longer', async () => {
  for (const take of ['remove', 'quarantine'] as const) {
    await store.content.publish(DIGEST, BYTES);
    assert.equal((await store.index.stats()).bytes, BYTES.length);
    await store.content[take](DIGEST);
    assert.equal((await store.index.stats()).bytes, 0, take);
    // As when two take it at once.
    await store.content[take](DIGEST);
  }
});

test('partial content of another store is recorded when it is published, and is not changed', async () => {
  const partials: PartialContent[] = [];
  class NotedStore extends FileContentStore {
    override async begin(digest: Digest): Promise<PartialContent> {
      const partial = await super.begin(digest);
      partials.push(partial);
      return partial;
    }
  }
  const content = new RecordedContent(new NotedStore(directory, Date.now), store.index, Date.now, QUIET);
  const recorded = await content.begin(DIGEST);
  assert.ok(partials.length === 1 && partials.every((one) => !Object.hasOwn(one, 'publish')));
  await recorded.append(BYTES);
  assert.equal(await store.index.content(DIGEST), undefined);
  await recorded.publish();
  assert.equal((await store.index.content(DIGEST))?.size, BYTES.length);
});

test('an older use of what names it does not take back a newer one', async () => {
  const parent = sha256Of(Buffer.from('parent'));
  await store.index.putContent(DIGEST, { size: BYTES.length, usedAt: 5, checkedAt: 5 });
  await store.index.putChildren(parent, [DIGEST]);
  const uses = [
    [DIGEST, 10],
    [parent, 7],
  ] as const;
  await store.index.touch(new Map(uses));
  assert.equal((await store.index.content(DIGEST))?.usedAt, 10);
});

test('an index that was lost learns again what content there is', async () => {
  await store.content.publish(DIGEST, BYTES);
  await store[Symbol.asyncDispose]();
  await rm(path.join(directory, 'index.db'));
  store = await openStore(directory, QUIET, Date.now);
  await waitFor(async () => (await store.index.stats()).blobs === 1);
  assert.equal((await store.index.content(DIGEST))?.size, BYTES.length);
});

test('after an unclean stop all content is compared with its digest, and what is wrong is set aside', async () => {
  const other = Buffer.from('another one');
  await store.content.publish(DIGEST, BYTES);
  await store.content.publish(sha256Of(other), other);
  await store[Symbol.asyncDispose]();
  assert.equal((await openAndClose()).wasUnclean, false);
  await writeFile(path.join(directory, 'RUNNING'), '');
  await writeFile(path.join(directory, FILE), 'CONTENT');
  store = await openStore(directory, testLog(log), () => Date.now() + 1000);
  assert.equal(store.wasUnclean, true);
  await using _scrubbing = scrub({ store, clock: () => Date.now() + 1000, log: QUIET });
  await waitFor(async () => (await aside()).length === 1);
  assert.equal(await store.content.find(DIGEST), undefined);
  assert.deepEqual(await store.content.read(sha256Of(other)), other);
  assert.equal(log.filter(({ msg }) => msg.startsWith('content in the cache is wrong')).length, 1);
});

test('content is compared with its digest again, a month after the last time', async () => {
  let now = Date.now();
  await store.content.publish(DIGEST, BYTES);
  await writeFile(path.join(directory, FILE), 'CONTENT');
  now += 31 * 24 * 3_600_000;
  await using _scrubbing = scrub({ store, clock: () => now, log: QUIET });
  await waitFor(async () => (await aside()).length === 1);
});

test('content that has gone before it is compared is no failure, and is counted no longer', async () => {
  await store.content.publish(DIGEST, BYTES);
  await rm(path.join(directory, FILE));
  const later = () => Date.now() + 31 * 24 * 3_600_000;
  await using _scrubbing = scrub({ store, clock: later, log: testLog(log) });
  await waitFor(async () => (await store.index.stats()).blobs === 0);
  assert.deepEqual(log, []);
});

async function openAndClose(): Promise<Store> {
  const opened = await openStore(directory, QUIET, Date.now);
  await opened[Symbol.asyncDispose]();
  return opened;
}

test('a file in the place of a directory of the cache: there is nothing below it, and nothing can be published', async () => {
  await writeFile(path.join(directory, path.dirname(FILE)), '');
  assert.equal(await store.content.find(DIGEST), undefined);
  assert.equal(await store.content.read(DIGEST), undefined);
  await assert.rejects(store.content.publish(DIGEST, BYTES), { code: 'EEXIST' });
});
