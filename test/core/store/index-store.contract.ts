import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IndexStore, TagEntry } from '../../../src/core/store/index-store.ts';
import { type Digest, sha256Of } from '../../../src/registry/digest.ts';
import { parseTag } from '../../../src/registry/reference.ts';
import { DOCKER_HUB, repositoryAt } from '../../../src/registry/repository.ts';

export interface OpenedIndex extends AsyncDisposable {
  readonly index: IndexStore;
  /** Closes the index and opens it again. */
  reopen(): Promise<IndexStore>;
}

const ALPINE = (repositoryAt(DOCKER_HUB, 'alpine') ?? assert.fail()).name;
const BUSYBOX = (repositoryAt(DOCKER_HUB, 'busybox') ?? assert.fail()).name;
const LATEST = parseTag('latest') ?? assert.fail();
const A = sha256Of(Buffer.from('a'));
const B = sha256Of(Buffer.from('b'));
const C = sha256Of(Buffer.from('c'));
const MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const TAG: TagEntry = { digest: A, mediaType: MEDIA_TYPE, size: 7, checkedAt: 1_790_000_000_000 };
const BLOB = { kind: 'blob' } as const;

const content = (usedAt: number, size = 1) => ({ size, usedAt, checkedAt: usedAt });

/** A shared index tells some changes twice, and one that another has made a moment later. */
async function invalidated({ invalidations }: IndexStore, least: number): Promise<void> {
  while (invalidations.current < least) await invalidations.changed();
}

/** Registers the tests that every index store must pass. `open` opens an empty one. */
export function testIndexStore(name: string, open: () => Promise<OpenedIndex>): void {
  const check = (what: string, task: (index: IndexStore, opened: OpenedIndex) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      await using opened = await open();
      await task(opened.index, opened);
    });

  check('everything that was put is there when the index is opened again', async (index, opened) => {
    assert.deepEqual([index.isNew, index.failure], [true, undefined]);
    const link = {
      kind: 'manifest',
      mediaType: MEDIA_TYPE,
      public: true,
      checkedAt: 3,
      deletedAt: 4,
    } as const;
    const document = { bytes: Buffer.from('{}'), linkHeader: '</next>', readAt: 5 };
    await index.putLink(ALPINE, A, link);
    await index.putTag(ALPINE, LATEST, { ...TAG, public: true });
    await index.putVisibility(ALPINE, { visibility: 'public', checkedAt: 6 });
    await index.putDocument(ALPINE, 'tags/list', document);
    await index.putContent(A, { ...content(7), manifestType: MEDIA_TYPE });
    await index.probe();
    const again = await opened.reopen();
    assert.deepEqual([again.isNew, again.failure], [false, undefined]);
    assert.deepEqual(await again.link(ALPINE, 'manifest', A), link);
    assert.deepEqual(await again.tag(ALPINE, LATEST), { ...TAG, public: true });
    assert.deepEqual(await again.visibility(ALPINE), { visibility: 'public', checkedAt: 6 });
    const { bytes, ...rest } = (await again.document(ALPINE, 'tags/list')) ?? assert.fail();
    assert.deepEqual([Buffer.from(bytes), rest], [document.bytes, { linkHeader: '</next>', readAt: 5 }]);
    assert.deepEqual(await again.content(A), { ...content(7), manifestType: MEDIA_TYPE });
    assert.deepEqual(await again.stats(), { blobs: 1, bytes: 1, repositories: 1 });
    const counts = { visibility: 'public', visibilityCheckedAt: 6, digests: 1, tags: 1 };
    assert.deepEqual(await again.repositories(), [{ name: ALPINE, ...counts }]);
  });

  check('a link is of one repository and one kind, and what is public stays public', async (index) => {
    await index.putLink(ALPINE, A, { ...BLOB, public: true });
    await index.putLink(ALPINE, A, { ...BLOB, checkedAt: 2 });
    assert.deepEqual(await index.link(ALPINE, 'blob', A), { ...BLOB, public: true, checkedAt: 2 });
    assert.equal(await index.link(ALPINE, 'manifest', A), undefined);
    assert.equal(await index.link(BUSYBOX, 'blob', A), undefined);
    await index.putLink(BUSYBOX, A, BLOB);
    await index.removeLink(ALPINE, A);
    assert.equal(await index.link(ALPINE, 'blob', A), undefined);
    assert.equal(await index.isLinkedAnywhere(A), true);
    await index.removeLink(BUSYBOX, A);
    assert.equal(await index.isLinkedAnywhere(A), false);
  });

  check('a tag is replaced and removed', async (index) => {
    await index.putTag(ALPINE, LATEST, TAG);
    await index.putTag(ALPINE, LATEST, { ...TAG, digest: B });
    assert.equal((await index.tag(ALPINE, LATEST))?.digest, B);
    assert.equal(await index.tag(BUSYBOX, LATEST), undefined);
    await index.removeTag(ALPINE, LATEST);
    assert.equal(await index.tag(ALPINE, LATEST), undefined);
  });

  check('invented names and missing documents do not fill the index', async (index) => {
    const nothing = { bytes: new Uint8Array(), linkHeader: undefined, readAt: 1 };
    await index.putVisibility(ALPINE, { visibility: 'private', checkedAt: 1 });
    await index.putDocument(ALPINE, 'referrers/x', nothing);
    assert.equal(await index.visibility(ALPINE), undefined);
    assert.equal(await index.document(ALPINE, 'referrers/x'), undefined);
    assert.deepEqual(await index.repositories(), []);
    await index.putLink(ALPINE, A, BLOB);
    await index.putVisibility(ALPINE, { visibility: 'private', checkedAt: 2 });
    await index.putDocument(ALPINE, 'referrers/x', nothing);
    assert.deepEqual(await index.visibility(ALPINE), { visibility: 'private', checkedAt: 2 });
    assert.equal((await index.document(ALPINE, 'referrers/x'))?.readAt, 1);
    await index.removeDocument(ALPINE, 'referrers/x');
    assert.equal(await index.document(ALPINE, 'referrers/x'), undefined);
  });

  check('content is used, checked, judged and listed by its times', async (index) => {
    await index.putContent(A, content(10));
    await index.putContent(B, content(20));
    await index.putContent(C, content(30));
    assert.deepEqual(await index.unusedSince(30, 9), [
      { digest: A, size: 1 },
      { digest: B, size: 1 },
    ]);
    assert.deepEqual(await index.unusedSince(30, 1), [{ digest: A, size: 1 }]);
    assert.equal(await index.uncheckedSince(30), A);
    await index.putChecked(A, 40);
    assert.equal(await index.uncheckedSince(30), B);
    assert.equal(await index.uncheckedSince(20), undefined);
    await index.putManifestType(A, MEDIA_TYPE);
    assert.deepEqual(await index.content(A), {
      ...content(10),
      checkedAt: 40,
      manifestType: MEDIA_TYPE,
    });
    await index.putContent(A, content(50, 5));
    assert.deepEqual(await index.content(A), content(50, 5));
    assert.deepEqual(await index.stats(), { blobs: 3, bytes: 7, repositories: 0 });
    await index.removeContent(A);
    await index.removeContent(A);
    assert.deepEqual(await index.stats(), { blobs: 2, bytes: 2, repositories: 0 });
  });

  check('a use counts for what a manifest names, downwards, and a later use stays', async (index) => {
    for (const digest of [A, B, C]) await index.putContent(digest, content(1));
    await index.putChildren(A, [B]);
    // A circle ends.
    await index.putChildren(B, [C, A]);
    await index.touch(new Map([[A, 10]]));
    await index.touch(new Map([[C, 5]]));
    const used = async () =>
      Promise.all([A, B, C].map(async (digest) => (await index.content(digest))?.usedAt));
    assert.deepEqual(await used(), [10, 10, 10]);
    await index.removeContent(B);
    await index.touch(new Map([[A, 20]]));
    assert.deepEqual(await used(), [20, undefined, 10]);
  });

  check('a forgotten repository takes everything with it, and names each digest once', async (index) => {
    for (const repository of [ALPINE, BUSYBOX])
      for (const digest of [A, B]) await index.putLink(repository, digest, BLOB);
    await index.putLink(ALPINE, A, { kind: 'manifest', mediaType: MEDIA_TYPE });
    await index.putTag(ALPINE, LATEST, TAG);
    await index.putVisibility(ALPINE, { visibility: 'public', checkedAt: 1 });
    await index.putDocument(ALPINE, 'tags/list', {
      bytes: Buffer.from('{}'),
      linkHeader: undefined,
      readAt: 1,
    });
    const unlinked: Digest[] = [];
    await index.forget(ALPINE, async (digests) => {
      unlinked.push(...digests);
      // This takes effect at once, however long the removal of the rows takes.
      assert.equal(await index.link(ALPINE, 'blob', A), undefined);
    });
    assert.deepEqual(unlinked.toSorted(), [A, B].toSorted());
    assert.equal(await index.tag(ALPINE, LATEST), undefined);
    assert.equal(await index.visibility(ALPINE), undefined);
    assert.equal(await index.document(ALPINE, 'tags/list'), undefined);
    assert.deepEqual(await index.link(BUSYBOX, 'blob', A), BLOB);
    assert.deepEqual(
      (await index.repositories()).map((one) => one.name),
      [BUSYBOX],
    );
    await index.forget(ALPINE);
  });

  check('a link that is learnt after a repository was forgotten stays', async (index) => {
    for (const digest of [A, B]) await index.putLink(ALPINE, digest, BLOB);
    await index.forget(ALPINE, () => index.putLink(ALPINE, C, BLOB));
    const links = await Promise.all([A, B, C].map((digest) => index.link(ALPINE, 'blob', digest)));
    assert.deepEqual(links, [undefined, undefined, BLOB]);
    assert.equal((await index.repositories())[0]?.digests, 1);
  });

  check(
    'a link that is put while its repository is forgotten is there or not, and is counted so',
    async (index) => {
      for (let turn = 0; turn < 20; turn++) {
        await index.putLink(ALPINE, A, BLOB);
        await Promise.all([index.putLink(ALPINE, B, BLOB), index.forget(ALPINE)]);
        assert.equal(await index.link(ALPINE, 'blob', A), undefined);
        const isThere = (await index.link(ALPINE, 'blob', B)) !== undefined;
        assert.equal(await index.isLinkedAnywhere(B), isThere);
        assert.equal((await index.repositories())[0]?.digests ?? 0, isThere ? 1 : 0);
      }
    },
  );

  check('a tag that is put and removed at once is there whole or not at all', async (index) => {
    for (let turn = 0; turn < 20; turn++) {
      await index.putTag(ALPINE, LATEST, TAG);
      const before = index.invalidations.current;
      const moved = { ...TAG, digest: B };
      await Promise.all([index.putTag(ALPINE, LATEST, moved), index.removeTag(ALPINE, LATEST)]);
      const now = await index.tag(ALPINE, LATEST);
      if (now !== undefined) assert.deepEqual(now, moved);
      assert.equal((await index.repositories())[0]?.tags, now === undefined ? 0 : 1);
      assert.ok(index.invalidations.current > before);
    }
  });

  check('each change of what a tag names is an invalidation, however many come at once', async (index) => {
    await index.putTag(ALPINE, LATEST, TAG);
    const before = index.invalidations.current;
    // If A is last, the tag has named B in between, and somebody may have cached that.
    await Promise.all([
      index.putTag(ALPINE, LATEST, { ...TAG, digest: B }),
      index.putTag(ALPINE, LATEST, TAG),
    ]);
    const last = (await index.tag(ALPINE, LATEST))?.digest;
    await invalidated(index, before + (last === A ? 2 : 1));
  });

  check(
    'a repository that becomes private is an invalidation, even just after it was public',
    async (index) => {
      await index.putLink(ALPINE, A, BLOB);
      const before = index.invalidations.current;
      await Promise.all([
        index.putVisibility(ALPINE, { visibility: 'public', checkedAt: 1 }),
        index.putVisibility(ALPINE, { visibility: 'private', checkedAt: 2 }),
      ]);
      const last = (await index.visibility(ALPINE))?.visibility;
      await invalidated(index, before + (last === 'private' ? 1 : 0));
    },
  );

  check('removals are invalidations, and their subscribers are called', async (index) => {
    await index.putContent(A, content(1));
    await index.putLink(ALPINE, A, BLOB);
    for (const remove of [
      () => index.removeContent(A),
      () => index.removeLink(ALPINE, A),
      () => index.forget(ALPINE),
    ]) {
      const changed = index.invalidations.changed();
      await remove();
      await changed;
    }
  });

  check('content that is removed does not come back by a use, a check or a type', async (index) => {
    for (let turn = 0; turn < 20; turn++) {
      for (const digest of [A, B]) await index.putContent(digest, content(1));
      await index.putChildren(B, [A]);
      await Promise.all([
        index.touch(new Map([[B, 9 + turn]])),
        index.removeContent(A),
        index.putChecked(A, 9),
        index.putManifestType(A, MEDIA_TYPE),
      ]);
      assert.equal(await index.content(A), undefined);
      assert.equal((await index.content(B))?.usedAt, 9 + turn);
      assert.deepEqual(await index.stats(), { blobs: 1, bytes: 1, repositories: 0 });
    }
  });

  check('content that is put several times at once is counted once', async (index) => {
    await Promise.all([1, 2, 3].map((size) => index.putContent(A, content(size, size))));
    const size = (await index.content(A))?.size;
    assert.deepEqual(await index.stats(), { blobs: 1, bytes: size, repositories: 0 });
  });
}
