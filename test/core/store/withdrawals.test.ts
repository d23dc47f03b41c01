import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { IndexStore } from '../../../src/core/store/index-store.ts';
import { openStore, type Store } from '../../../src/core/store/store.ts';
import { sha256Of } from '../../../src/registry/digest.ts';
import type { Tag } from '../../../src/registry/reference.ts';
import type { RepositoryName } from '../../../src/registry/repository.ts';
import { QUIET } from '../../support/test-core.ts';

const BYTES = Buffer.from('content');
const DIGEST = sha256Of(BYTES);
const ALPINE = 'docker.io/library/alpine' as RepositoryName;
const UNKNOWN = 'docker.io/library/unknown' as RepositoryName;
const LATEST = 'latest' as Tag;
const ENTRY = {
  digest: DIGEST,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  size: BYTES.length,
  checkedAt: 1,
} as const;

let directory: string;
let store: Store;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-withdrawals-'));
  store = await openStore(directory, QUIET, Date.now);
  await store.content.publish(DIGEST, BYTES);
  await store.index.putVisibility(ALPINE, { visibility: 'public', checkedAt: 1 });
  await store.index.putLink(ALPINE, DIGEST, { kind: 'blob' });
  await store.index.putTag(ALPINE, LATEST, ENTRY);
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

type Change = (index: IndexStore) => Promise<unknown>;

const WITHDRAWN: Readonly<Record<string, Change>> = {
  'a repository is forgotten': (index) => index.forget(ALPINE),
  'a link is removed': (index) => index.removeLink(ALPINE, DIGEST),
  'a tag is removed': (index) => index.removeTag(ALPINE, LATEST),
  'a tag names another manifest': (index) =>
    index.putTag(ALPINE, LATEST, { ...ENTRY, digest: sha256Of(Buffer.from('another')) }),
  'a public repository is private': (index) =>
    index.putVisibility(ALPINE, { visibility: 'private', checkedAt: 2 }),
  'content is evicted': () => store.content.remove(DIGEST),
  'content is found wrong': () => store.content.quarantine(DIGEST),
};

for (const [what, change] of Object.entries(WITHDRAWN)) {
  test(`who remembers answers is told that ${what}`, async () => {
    const before = store.index.invalidations.current;
    const told = store.index.invalidations.changed();
    await change(store.index);
    await told;
    assert.notEqual(store.index.invalidations.current, before);
  });
}

const KEPT: Readonly<Record<string, Change>> = {
  'nothing is known of a repository that is forgotten': (index) => index.forget(UNKNOWN),
  'a tag that nobody has is removed': (index) => index.removeTag(ALPINE, 'missing' as Tag),
  'a link that is not there is removed': (index) => index.removeLink(UNKNOWN, DIGEST),
  'a tag is confirmed': (index) => index.putTag(ALPINE, LATEST, { ...ENTRY, checkedAt: 2 }),
  'a repository is still public': (index) =>
    index.putVisibility(ALPINE, { visibility: 'public', checkedAt: 2 }),
  'a repository of which nothing was public is private': (index) =>
    index.putVisibility(UNKNOWN, { visibility: 'private', checkedAt: 2 }),
};

for (const [what, change] of Object.entries(KEPT)) {
  test(`nothing is withdrawn where ${what}: callers could empty every memory`, async () => {
    const before = store.index.invalidations.current;
    await change(store.index);
    assert.equal(store.index.invalidations.current, before);
  });
}
