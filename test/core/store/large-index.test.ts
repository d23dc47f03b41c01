import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, test } from 'node:test';
import { purge } from '../../../src/core/store/purge.ts';
import { openStore, type Store } from '../../../src/core/store/store.ts';
import { type Digest, sha256Of } from '../../../src/registry/digest.ts';
import type { Tag } from '../../../src/registry/reference.ts';
import type { RepositoryName } from '../../../src/registry/repository.ts';
import { QUIET } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

const ALPINE = 'docker.io/library/alpine' as RepositoryName;
const BUSYBOX = 'docker.io/library/busybox' as RepositoryName;
/** Several slices of work. */
const MANY = 5_000;

let directory: string;
let store: Store;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-large-'));
  store = await openStore(directory, QUIET, Date.now);
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

const digestOf = (number: number): Digest => sha256Of(Buffer.from(String(number)));
const digests = Array.from({ length: MANY }, (_, number) => digestOf(number));
const [FIRST, SECOND] = [digestOf(0), digestOf(1)];

async function learn(): Promise<void> {
  for (const digest of digests) await store.index.putLink(ALPINE, digest, { kind: 'blob' });
}

/** What another process does to the file while no core runs. */
async function between(change: (database: DatabaseSync) => void): Promise<void> {
  await store[Symbol.asyncDispose]();
  const database = new DatabaseSync(path.join(directory, 'index.db'));
  change(database);
  database.close();
  store = await openStore(directory, QUIET, Date.now);
}

/** How often the event loop came round while `work` was under way. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  const turn = () => {
    turns++;
    next = setImmediate(turn);
  };
  let next = setImmediate(turn);
  await work;
  clearImmediate(next);
  return turns;
}

const entry = (size: number) => ({ size, usedAt: 1, checkedAt: 1 });

test('what there is is counted as it comes, is replaced and goes', async () => {
  await store.index.putContent(FIRST, entry(3));
  await store.index.putContent(SECOND, entry(4));
  await store.index.putContent(FIRST, entry(5));
  await store.index.putContent(FIRST, entry(6));
  await store.index.touch(new Map([[FIRST, 9]]));
  assert.deepEqual(await store.index.stats(), { blobs: 2, bytes: 10, repositories: 0 });
  await store.index.removeContent(SECOND);
  await store.index.removeContent(SECOND);
  assert.deepEqual(await store.index.stats(), { blobs: 1, bytes: 6, repositories: 0 });
  for (let twice = 0; twice < 2; twice++) await store.index.putLink(ALPINE, FIRST, { kind: 'blob' });
  await store.index.putLink(ALPINE, SECOND, { kind: 'blob' });
  await store.index.removeLink(ALPINE, SECOND);
  const listed = { name: ALPINE, visibility: undefined, digests: 1, tags: 0 };
  assert.deepEqual(await store.index.repositories(), [listed]);
});

/** The statements that turn an index of this version into one of version 3, which recorded no visibility. */
const TO_VERSION_3 = `
  ALTER TABLE content DROP COLUMN manifest_type; ALTER TABLE tag DROP COLUMN public;
  ALTER TABLE link DROP COLUMN public; ALTER TABLE link DROP COLUMN checked_at; ALTER TABLE link DROP COLUMN deleted_at;
  PRAGMA user_version = 3;
`;

for (const [version, change] of [
  [3, TO_VERSION_3],
  [4, TO_VERSION_3.replace('ALTER TABLE content DROP COLUMN manifest_type;', '').replace('= 3', '= 4')],
] as const) {
  test(`an index of version ${version} is taken over: what was learnt of a public repository is public`, async () => {
    const { index } = store;
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const tag = { digest: FIRST, mediaType, size: 3, checkedAt: 7 } as const;
    await index.putContent(FIRST, entry(3));
    for (const name of [ALPINE, BUSYBOX]) {
      await index.putLink(name, FIRST, { kind: 'manifest', mediaType });
      await index.putTag(name, 'latest' as Tag, tag);
      await index.putDocument(name, 'tags/list', {
        bytes: Buffer.from('{}'),
        linkHeader: undefined,
        readAt: 7,
      });
    }
    await index.putVisibility(ALPINE, { visibility: 'public', checkedAt: 7 });
    await between((database) => database.exec(change));
    assert.deepEqual(await store.index.link(ALPINE, 'manifest', FIRST), {
      kind: 'manifest',
      mediaType,
      public: true,
    });
    assert.deepEqual(await store.index.link(BUSYBOX, 'manifest', FIRST), { kind: 'manifest', mediaType });
    assert.deepEqual(await store.index.tag(ALPINE, 'latest' as Tag), { ...tag, public: true });
    assert.deepEqual(await store.index.tag(BUSYBOX, 'latest' as Tag), tag);
    assert.equal(await store.index.document(ALPINE, 'tags/list'), undefined);
    assert.deepEqual(await store.index.content(FIRST), entry(3));
    assert.equal((await store.index.repositories())[0]?.digests, 1);
  });
}

test('that a digest is public is not taken back by what is learnt as the account', async () => {
  await store.index.putLink(ALPINE, FIRST, { kind: 'blob', public: true, checkedAt: 1 });
  await store.index.putLink(ALPINE, FIRST, { kind: 'blob', checkedAt: 2, deletedAt: 2 });
  const link = { kind: 'blob', public: true, checkedAt: 2, deletedAt: 2 };
  assert.deepEqual(await store.index.link(ALPINE, 'blob', FIRST), link);
  await store.index.putLink(ALPINE, FIRST, { kind: 'blob', checkedAt: 3 });
  assert.deepEqual(await store.index.link(ALPINE, 'blob', FIRST), {
    kind: 'blob',
    public: true,
    checkedAt: 3,
  });
});

test('an index of version 2 is taken over, with what it knows', async () => {
  await store.index.putContent(FIRST, entry(3));
  for (const digest of [FIRST, SECOND]) await store.index.putLink(ALPINE, digest, { kind: 'blob' });
  await between((database) =>
    database.exec(`
      DROP TRIGGER content_added; DROP TRIGGER content_removed; DROP TRIGGER link_added; DROP TRIGGER link_removed;
      DROP TABLE total; ALTER TABLE repository DROP COLUMN links; ${TO_VERSION_3.replace('= 3', '= 2')}
    `),
  );
  assert.deepEqual(await store.index.link(ALPINE, 'blob', FIRST), { kind: 'blob' });
  assert.deepEqual(await store.index.stats(), { blobs: 1, bytes: 3, repositories: 1 });
  assert.equal((await store.index.repositories())[0]?.digests, 2);
  await store.index.removeContent(FIRST);
  assert.equal((await store.index.stats()).blobs, 0);
});

test('a repository with very many links is forgotten at once, and others have their turn while it is cleared away', async () => {
  await learn();
  await store.index.putLink(BUSYBOX, FIRST, { kind: 'blob' });
  const forgetting = store.index.forget(ALPINE);
  assert.equal(await store.index.link(ALPINE, 'blob', SECOND), undefined);
  assert.deepEqual(
    [await store.index.isLinkedAnywhere(FIRST), await store.index.isLinkedAnywhere(SECOND)],
    [true, false],
  );
  assert.deepEqual(
    (await store.index.repositories()).map(({ name }) => name),
    [BUSYBOX],
  );
  // What is learnt meanwhile is learnt of a repository of which nothing is known.
  await store.index.putLink(ALPINE, FIRST, { kind: 'blob' });
  assert.ok((await turnsDuring(forgetting)) > 2);
  assert.deepEqual(await store.index.link(ALPINE, 'blob', FIRST), { kind: 'blob' });
  assert.equal(await store.index.link(ALPINE, 'blob', SECOND), undefined);
  assert.equal((await store.index.stats()).repositories, 2);
});

test('what a run before has forgotten and had no time to clear away goes in the next one', async () => {
  await learn();
  // As a crash leaves it.
  await between((database) => database.exec(`UPDATE repository SET name = '~' || id`));
  assert.deepEqual(await store.index.repositories(), []);
  assert.equal(await store.index.isLinkedAnywhere(FIRST), false);
  const rows = () => {
    using database = new DatabaseSync(path.join(directory, 'index.db'));
    return database.prepare('SELECT count(*) AS rows FROM link').get()?.rows as number;
  };
  const isCleared = async () => {
    await store[Symbol.asyncDispose]();
    const left = rows();
    store = await openStore(directory, QUIET, Date.now);
    return left === 0;
  };
  await waitFor(isCleared);
});

test('a purge of very many links counts each digest once, also one that is a manifest and a blob', async () => {
  await learn();
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  for (const digest of digests.slice(0, 10))
    await store.index.putLink(ALPINE, digest, { kind: 'manifest', mediaType });
  assert.deepEqual(await purge(store, ALPINE, undefined), { digests: MANY, bytes: 0 });
  await store.index.putLink(BUSYBOX, FIRST, { kind: 'blob' });
  await store.index.putLink(BUSYBOX, FIRST, { kind: 'manifest', mediaType });
  assert.deepEqual(await purge(store, BUSYBOX, undefined), { digests: 1, bytes: 0 });
  assert.equal((await store.index.stats()).repositories, 0);
});

test('very many uses are written down in slices, and whoever asks for that waits for all of them', async () => {
  await store.index.putChildren(FIRST, digests.slice(1));
  for (const digest of digests) await store.index.putContent(digest, entry(1));
  store.content.used(FIRST);
  const turns = turnsDuring(store.content.flushUses());
  // The uses are on their way already: this one has none of its own.
  await store.content.flushUses();
  assert.deepEqual(await store.index.unusedSince(2, 1), []);
  assert.ok((await turns) > 2);
});
