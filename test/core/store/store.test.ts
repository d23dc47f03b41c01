import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import { openStore, type Store } from '../../../src/core/store/store.ts';
import { sha256Of } from '../../../src/registry/digest.ts';
import type { Tag } from '../../../src/registry/reference.ts';
import type { RepositoryName } from '../../../src/registry/repository.ts';
import { QUIET } from '../../support/test-core.ts';

const BYTES = Buffer.from('content');
const DIGEST = sha256Of(BYTES);
const ALPINE = 'docker.io/library/alpine' as RepositoryName;
const SECRET = 'docker.io/acme/secret' as RepositoryName;
const MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';

let directory: string;
let store: Store;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-store-'));
  store = await openStore(directory, QUIET, Date.now);
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function reopen(): Promise<void> {
  await store[Symbol.asyncDispose]();
  store = await openStore(directory, QUIET, Date.now);
}

test('published content is found by its digest, at the place that the layout says, for this group and no other', async () => {
  assert.equal(await store.content.find(DIGEST), undefined);
  assert.equal(await store.content.read(DIGEST), undefined);
  await store.content.publish(DIGEST, BYTES);
  const hex = DIGEST.slice('sha256:'.length);
  const file = `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
  assert.deepEqual(await store.content.find(DIGEST), { kind: 'file', file, size: BYTES.length });
  assert.deepEqual(await store.content.read(DIGEST), BYTES);
  assert.equal((await stat(path.join(directory, file))).mode & 0o777, 0o640);
  assert.equal((await stat(path.join(directory, 'blobs/sha256', hex.slice(0, 2)))).mode & 0o777, 0o750);
});

test('partial content is no content: it can be read as it grows, and is published or gone', async () => {
  const kept = await store.content.begin(DIGEST);
  await kept.append(BYTES.subarray(0, 3));
  assert.equal(await store.content.find(DIGEST), undefined);
  assert.deepEqual(await readFile(path.join(directory, kept.location.file)), BYTES.subarray(0, 3));
  await kept.append(BYTES.subarray(3));
  await kept.publish();
  assert.deepEqual(await store.content.read(DIGEST), BYTES);

  const other = sha256Of(Buffer.from('other'));
  const left = await store.content.begin(other);
  await left.append(BYTES);
  await left.discard();
  assert.equal(await store.content.find(other), undefined);
  assert.deepEqual(await readdir(path.join(directory, 'partial')), []);
});

test('what a run before left is gone on with for a day, and then cleared away', async () => {
  const broken = await store.content.begin(DIGEST);
  await broken.append(BYTES.subarray(0, 3));
  await broken.suspend();
  await reopen();
  const resumed = await store.content.begin(DIGEST);
  assert.equal(resumed.resumeOffset, 3);
  assert.deepEqual(Buffer.concat(await Array.fromAsync(resumed.readExisting())), BYTES.subarray(0, 3));
  await resumed.append(BYTES.subarray(3));
  assert.deepEqual(await readFile(path.join(directory, resumed.location.file)), BYTES);
  await resumed.suspend();
  const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000);
  await utimes(path.join(directory, resumed.location.file), yesterday, yesterday);
  await reopen();
  assert.deepEqual(await readdir(path.join(directory, 'partial')), []);
});

test('content that is all here does not care for what is left of it', async () => {
  const broken = await store.content.begin(DIGEST);
  await broken.append(Buffer.from('something else'));
  await Promise.all([store.content.publish(DIGEST, BYTES), store.content.publish(DIGEST, BYTES)]);
  assert.deepEqual(await store.content.read(DIGEST), BYTES);
  await broken.discard();
});

test('links are of one repository and one kind', async () => {
  await store.index.putLink(ALPINE, DIGEST, { kind: 'manifest', mediaType: MEDIA_TYPE });
  assert.deepEqual(await store.index.link(ALPINE, 'manifest', DIGEST), {
    kind: 'manifest',
    mediaType: MEDIA_TYPE,
  });
  assert.equal(await store.index.link(ALPINE, 'blob', DIGEST), undefined);
  assert.equal(await store.index.link(SECRET, 'manifest', DIGEST), undefined);
});

test('tags and visibility are kept, replaced and taken back', async () => {
  const tag = 'latest' as Tag;
  const entry = { digest: DIGEST, mediaType: MEDIA_TYPE, size: 7, checkedAt: 1_790_000_000_000 } as const;
  await store.index.putTag(ALPINE, tag, entry);
  await store.index.putTag(ALPINE, tag, { ...entry, size: 8 });
  assert.deepEqual(await store.index.tag(ALPINE, tag), { ...entry, size: 8 });
  assert.equal(await store.index.visibility(ALPINE), undefined);
  await store.index.putVisibility(ALPINE, { visibility: 'public', checkedAt: 5 });
  await store.index.putVisibility(ALPINE, { visibility: 'private', checkedAt: 6 });
  assert.deepEqual(await store.index.visibility(ALPINE), { visibility: 'private', checkedAt: 6 });
  await store.index.putVisibility(SECRET, { visibility: 'private', checkedAt: 6 });
  assert.equal(await store.index.visibility(SECRET), undefined);
  await store.index.removeTag(ALPINE, tag);
  assert.equal(await store.index.tag(ALPINE, tag), undefined);
});

test('the last twenty documents of a repository are kept, and no more', async () => {
  const entry = { bytes: BYTES, linkHeader: undefined };
  const put = (name: RepositoryName, at: number) =>
    store.index.putDocument(name, `tags/list?n=${at}`, { ...entry, readAt: at });
  await put(SECRET, 1);
  for (let at = 1; at <= 21; at++) await put(ALPINE, at);
  const isKept = async (name: RepositoryName, at: number) =>
    (await store.index.document(name, `tags/list?n=${at}`)) !== undefined;
  assert.deepEqual(
    await Promise.all([isKept(ALPINE, 1), isKept(ALPINE, 2), isKept(ALPINE, 21), isKept(SECRET, 1)]),
    [false, true, true, true],
  );
});

test('lists of tags push out nothing that is known of referrers', async () => {
  const entry = { bytes: BYTES, linkHeader: undefined };
  await store.index.putDocument(ALPINE, `referrers/${DIGEST}`, { ...entry, readAt: 0 });
  for (let at = 1; at <= 21; at++)
    await store.index.putDocument(ALPINE, `tags/list?n=${at}`, { ...entry, readAt: at });
  assert.notEqual(await store.index.document(ALPINE, `referrers/${DIGEST}`), undefined);
  for (let at = 1; at <= 501; at++)
    await store.index.putDocument(ALPINE, `manifests/${at}`, { ...entry, readAt: at });
  assert.equal(await store.index.document(ALPINE, `referrers/${DIGEST}`), undefined);
  assert.notEqual(await store.index.document(ALPINE, 'tags/list?n=21'), undefined);
});

test('forgetting a repository takes back all that was learnt of it, and nothing of another', async () => {
  for (const name of [ALPINE, SECRET]) {
    await store.index.putLink(name, DIGEST, { kind: 'blob' });
    await store.index.putVisibility(name, { visibility: 'public', checkedAt: 1 });
  }
  await store.index.forget(SECRET);
  assert.equal(await store.index.link(SECRET, 'blob', DIGEST), undefined);
  assert.equal(await store.index.visibility(SECRET), undefined);
  assert.deepEqual(await store.index.link(ALPINE, 'blob', DIGEST), { kind: 'blob' });
});

test('what was learnt outlives a restart', async () => {
  await store.index.putLink(ALPINE, DIGEST, { kind: 'blob' });
  await store.content.publish(DIGEST, BYTES);
  await reopen();
  assert.deepEqual(await store.index.link(ALPINE, 'blob', DIGEST), { kind: 'blob' });
  assert.deepEqual(await store.content.read(DIGEST), BYTES);
});

test('invariant 10: an index that is missing, empty, torn or foreign is begun anew, and no content is lost', async () => {
  const index = path.join(directory, 'index.db');
  const damages: (() => Promise<void>)[] = [
    () => rm(index),
    () => truncate(index),
    () => writeFile(index, 'this is no database at all, whatever its name says'.repeat(100)),
    async () => truncate(index, (await stat(index)).size - 4096),
  ];
  for (const damage of damages) {
    await store.index.putLink(ALPINE, DIGEST, { kind: 'blob' });
    await store.content.publish(DIGEST, BYTES);
    await store[Symbol.asyncDispose]();
    await damage();
    store = await openStore(directory, QUIET, Date.now);
    assert.equal(await store.index.link(ALPINE, 'blob', DIGEST), undefined, damage.toString());
    assert.deepEqual(await store.content.read(DIGEST), BYTES);
  }
});

test('invariant 11: an index that cannot be written stops nothing, is complained of once, and believes what was withdrawn', async () => {
  const fixture = path.join(import.meta.dirname, '../../support/fixtures/fill-index.ts');
  const full = path.join(directory, 'full');
  // 256 KiB in the blocks of POSIX' ulimit, as if the disk ended there.
  const command = `ulimit -f 512; exec '${process.execPath}' '${fixture}' '${full}'`;
  const { stdout } = await promisify(execFile)('sh', ['-c', command]);
  assert.deepEqual(JSON.parse(stdout), { logged: ['the index fails'], known: { kind: 'blob' } });
});

test('invariant 10: an index that is torn while it is open is begun anew', async () => {
  const digests = Array.from({ length: 40_000 }, (_, index) => sha256Of(Buffer.from(String(index))));
  for (const digest of digests) await store.index.putLink(ALPINE, digest, { kind: 'blob' });
  await truncate(path.join(directory, 'index.db'), 4096);
  for (const digest of digests.slice(0, 4_000)) await store.index.link(ALPINE, 'blob', digest);
  await store.index.putLink(ALPINE, DIGEST, { kind: 'blob' });
  assert.deepEqual(await store.index.link(ALPINE, 'blob', DIGEST), { kind: 'blob' });
  assert.equal((await stat(path.join(directory, 'index.db.broken'))).size, 4096);
});

test('a second core on the same directory is refused, and harms nothing', async () => {
  const partial = await store.content.begin(DIGEST);
  await partial.append(BYTES);
  await assert.rejects(openStore(directory, QUIET, Date.now), /index\.db is in use by another core/);
  await partial.publish();
  assert.deepEqual(await store.content.read(DIGEST), BYTES);
});

test('a cache of another version is refused', async () => {
  await store[Symbol.asyncDispose]();
  await writeFile(path.join(directory, 'VERSION'), '2\n');
  await assert.rejects(openStore(directory, QUIET, Date.now), /VERSION says version 2/);
  await writeFile(path.join(directory, 'VERSION'), '1\n');
  store = await openStore(directory, QUIET, Date.now);
});
