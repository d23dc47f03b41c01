/** Hosted repositories go from one database to another one. The way into a cluster is in test/cluster. */
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, test } from 'node:test';
import { type Hosted, openHosted } from '../../../src/core/hosted/hosted.ts';
import { type TransferredHosted, transferHosted } from '../../../src/core/hosted/transfer.ts';
import { verifyHosted } from '../../../src/core/hosted/verify.ts';
import { type Digest, sha256Of } from '../../../src/registry/digest.ts';
import { parseTag, type Tag } from '../../../src/registry/reference.ts';
import { newUploadId } from '../../../src/registry/upload-id.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../support/hosted-core.ts';
import { QUIET } from '../../support/test-core.ts';

const DAY = 86_400_000;
const REPOSITORY = 'acme/app';
const ANA = { subject: 'user:ana', credential: 'c1' };
const BEN = { subject: 'user:ben', credential: 'c2' };
const NEVER = new AbortController().signal;
const NOTHING = { manifests: 0, blobs: 0, tags: 0, left: [] };

let stack: AsyncDisposableStack;
let now: number;
let from: Hosted;
let to: Hosted;
/** The blobs whose bytes were copied. */
let copied: Digest[];

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  now = 1_000 * DAY;
  copied = [];
  from = await open();
  to = await open();
});

afterEach(() => stack.disposeAsync());

async function open(): Promise<Hosted> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-hosted-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const namespaces = [{ name: 'acme', immutableTags: [] }];
  return stack.use(await openHosted({ directory, namespaces }, QUIET, () => now));
}

function filesOf({ files }: Hosted) {
  return files ?? assert.fail();
}

function transfer(): Promise<TransferredHosted> {
  return transferHosted({
    ...{ from: from.database, to: to.database, clock: () => now },
    async copyBlob(digest, size) {
      const why = await filesOf(from).whyDamaged(digest, size);
      if (why !== undefined) return why;
      copied.push(digest);
      const id = newUploadId();
      const handle = await filesOf(to).createUpload(id);
      await handle.writeFile(await readFile(filesOf(from).pathOf(digest)));
      return filesOf(to).publish({ id, handle, digest, size, signal: NEVER });
    },
  });
}

async function pushBlob({ uploads, blobs }: Hosted, content: string) {
  const upload = await uploads.begin({ repository: REPOSITORY, subjectKey: 'user:ana' }, 'sha256', NEVER);
  assert.ok(!('kind' in upload));
  const body = { body: Readable.from([Buffer.from(content)]), range: undefined, length: content.length };
  const digest = sha256Of(Buffer.from(content));
  assert.equal((await blobs.complete(upload, digest, body, NEVER)).kind, 'published');
  return { digest, size: content.length, mediaType: 'application/octet-stream' };
}

function tagOf(name: string): Tag {
  return parseTag(name) ?? assert.fail();
}

/** Pushes a manifest, by its digest if there is no tag. A second passes between two pushes. */
async function push(on: Hosted, document: object, tag?: string, by = ANA): Promise<Digest> {
  now += 1_000;
  const { mediaType: contentType = OCI_MANIFEST } = document as { readonly mediaType?: string };
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: contentType, ...document }));
  const digest = sha256Of(bytes);
  const reference =
    tag === undefined ? ({ kind: 'digest', digest } as const) : ({ kind: 'tag', tag: tagOf(tag) } as const);
  const put = await on.manifests.put({ repository: REPOSITORY, tags: [], bytes, contentType, by, reference });
  assert.equal(put.kind, 'published', JSON.stringify(put));
  return digest;
}

async function pushImage(on: Hosted, layer: string, tag?: string, by = ANA): Promise<Digest> {
  const config = await pushBlob(on, '{}');
  return push(on, { config, layers: [await pushBlob(on, layer)] }, tag, by);
}

function descriptor(digest: Digest, mediaType = OCI_MANIFEST) {
  return { mediaType, digest, size: 2 };
}

async function historyOf({ tags }: Hosted, tag: string) {
  return (await tags.history(REPOSITORY, tagOf(tag))) ?? [];
}

async function digestsOf({ tags }: Hosted) {
  return Object.fromEntries(((await tags.list(REPOSITORY)) ?? []).map(({ tag, digest }) => [tag, digest]));
}

async function assertWhole(on: Hosted) {
  assert.deepEqual((await verifyHosted(on.database, filesOf(on))).damages, []);
}

test('manifests with their types and referrers, blobs, and tags with their histories are in the target', async () => {
  const image = await pushImage(from, 'first', '1.0');
  const second = await pushImage(from, 'second');
  const parts = [descriptor(image), descriptor(second)];
  const index = await push(from, { mediaType: OCI_INDEX, manifests: parts }, '2.0', BEN);
  const note = { note: 'signed' };
  const subject = descriptor(index, OCI_INDEX);
  const config = await pushBlob(from, '{}');
  const referrer = { config, layers: [], subject, artifactType: 'application/x', annotations: note };
  const signature = await push(from, referrer);
  assert.deepEqual(await transfer(), { manifests: 4, blobs: 3, tags: 2, left: [] });
  assert.deepEqual(await to.tags.list(REPOSITORY), await from.tags.list(REPOSITORY));
  for (const tag of ['1.0', '2.0']) assert.deepEqual(await historyOf(to, tag), await historyOf(from, tag));
  const whole = async ({ database }: Hosted, digest: Digest) =>
    database.read(function* (select) {
      const id = (yield* select.repository.get(REPOSITORY))?.id ?? assert.fail();
      return [
        yield* select.wholeManifest.get(id, digest),
        yield* select.children.all(id, digest),
        yield* select.referrers.all(id, index, '', null, 10),
      ];
    });
  for (const digest of [image, second, index, signature])
    assert.deepEqual(await whole(to, digest), await whole(from, digest));
  const repositories = ({ database }: Hosted) => database.read((select) => select.repositories.all('', 10));
  assert.deepEqual(await repositories(to), await repositories(from));
  await assertWhole(to);
});

test('a second run changes nothing and copies no bytes', async () => {
  await pushImage(from, 'first', '1.0');
  await transfer();
  const before = copied.length;
  assert.deepEqual(await transfer(), NOTHING);
  assert.equal(copied.length, before);
  assert.deepEqual(await historyOf(to, '1.0'), await historyOf(from, '1.0'));
});

test('what is pushed after a run comes with the next one, also a tag that was moved', async () => {
  await pushImage(from, 'first', 'latest');
  await transfer();
  const moved = await pushImage(from, 'second', 'latest', BEN);
  await pushImage(from, 'third', 'new');
  const before = copied.length;
  assert.deepEqual(await transfer(), { manifests: 2, blobs: 2, tags: 2, left: [] });
  assert.equal(copied.length - before, 2);
  assert.equal((await digestsOf(to)).latest, moved);
  assert.deepEqual(await historyOf(to, 'latest'), await historyOf(from, 'latest'));
});

test('a tag that the target has with another digest stays, and is reported', async () => {
  await pushImage(from, 'first', '1.0');
  const own = await pushImage(to, 'another', '1.0', BEN);
  const history = await historyOf(to, '1.0');
  const { manifests, tags, left } = await transfer();
  assert.deepEqual([manifests, tags], [1, 0]);
  const why = `it means ${own} at the target, and stays so`;
  assert.deepEqual(left, [{ repository: REPOSITORY, reference: '1.0', why }]);
  assert.equal((await digestsOf(to))['1.0'], own);
  assert.deepEqual(await historyOf(to, '1.0'), history);
});

test('a tag that both have moved since the last run stays, and one that only the target has moved too', async () => {
  await pushImage(from, 'first', 'both');
  await pushImage(from, 'first', 'target');
  await transfer();
  await pushImage(from, 'second', 'both');
  const both = await pushImage(to, 'third', 'both', BEN);
  const target = await pushImage(to, 'fourth', 'target', BEN);
  const { tags, left } = await transfer();
  assert.equal(tags, 0);
  assert.deepEqual(
    left.map(({ reference }) => reference),
    ['both'],
  );
  assert.deepEqual(await digestsOf(to), { both, target });
});

test('a tag that was deleted in one of the two after a run is set again in neither', async () => {
  const first = await pushImage(from, 'first', 'source');
  await pushImage(from, 'first', 'target');
  await transfer();
  now += 1_000;
  await from.removal.manifest(REPOSITORY, { kind: 'tag', tag: tagOf('source') }, ANA);
  await to.removal.manifest(REPOSITORY, { kind: 'tag', tag: tagOf('target') }, BEN);
  const { tags, left } = await transfer();
  assert.equal(tags, 0);
  const why = `it was deleted at the source, and still means ${first} at the target`;
  assert.deepEqual(left, [{ repository: REPOSITORY, reference: 'source', why }]);
  assert.deepEqual(await digestsOf(to), { source: first });
});

test('a tag that was deleted before the first run can be restored in the target', async () => {
  const first = await pushImage(from, 'first', '1.0');
  now += 1_000;
  await from.removal.manifest(REPOSITORY, { kind: 'tag', tag: tagOf('1.0') }, ANA);
  await transfer();
  assert.deepEqual(await digestsOf(to), {});
  const restored = await to.tags.restore(REPOSITORY, tagOf('1.0'), BEN);
  assert.deepEqual(restored, { kind: 'restored', digest: first, previous: null });
});

test('an image with a damaged blob is left with its tag and reported, and the others come', async () => {
  const damaged = await pushImage(from, 'first', 'damaged');
  const whole = await pushImage(from, 'second', 'whole');
  const layer = sha256Of(Buffer.from('first'));
  await appendFile(filesOf(from).pathOf(layer), 'more');
  const { left } = await transfer();
  const why = `the blob ${layer} is damaged: its file has 9 bytes instead of 5`;
  assert.deepEqual(left, [
    { repository: REPOSITORY, reference: damaged, why },
    { repository: REPOSITORY, reference: 'damaged', why: `its manifest ${damaged} is not there` },
  ]);
  assert.deepEqual(await digestsOf(to), { whole });
  await assertWhole(to);
});

test('what was copied stays when the target collects, and what waits for its collection still does', async () => {
  const image = await pushImage(from, 'first');
  const index = await push(from, { mediaType: OCI_INDEX, manifests: [descriptor(image)] }, 'index');
  await pushImage(from, 'second', 'tagged');
  await from.removal.manifest(REPOSITORY, { kind: 'digest', digest: index }, ANA);
  await transfer();
  now += 30 * DAY;
  await to.collection.collect();
  const left = await to.database.read((select) => select.manifestsAfter.all(0, 10));
  assert.deepEqual(
    left.map(({ digest }) => digest),
    [(await digestsOf(to)).tagged],
  );
  await assertWhole(to);
});
