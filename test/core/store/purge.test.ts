import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { purge } from '../../../src/core/store/purge.ts';
import { openStore, type Store } from '../../../src/core/store/store.ts';
import { sha256Of } from '../../../src/registry/digest.ts';
import { parseReference, parseTag } from '../../../src/registry/reference.ts';
import type { RepositoryName } from '../../../src/registry/repository.ts';
import { QUIET } from '../../support/test-core.ts';

const ALPINE = 'docker.io/library/alpine' as RepositoryName;
const BUSYBOX = 'docker.io/library/busybox' as RepositoryName;
const SHARED = Buffer.from('shared');
const OWN = Buffer.from('own');
const MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const LATEST = parseTag('latest') ?? assert.fail();

let directory: string;
let store: Store;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-purge-'));
  store = await openStore(directory, QUIET, Date.now);
  for (const bytes of [SHARED, OWN]) await store.content.publish(sha256Of(bytes), bytes);
  await store.index.putLink(ALPINE, sha256Of(OWN), { kind: 'manifest', mediaType: MEDIA_TYPE });
  for (const name of [ALPINE, BUSYBOX]) await store.index.putLink(name, sha256Of(SHARED), { kind: 'blob' });
  const entry = { digest: sha256Of(OWN), mediaType: MEDIA_TYPE, size: OWN.length, checkedAt: 1 } as const;
  await store.index.putTag(ALPINE, LATEST, entry);
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

const isHere = async (bytes: Buffer) => (await store.content.read(sha256Of(bytes))) !== undefined;

test('with a repository goes what no other contains', async () => {
  assert.deepEqual(await purge(store, ALPINE, undefined), { digests: 2, bytes: OWN.length });
  assert.deepEqual([await isHere(OWN), await isHere(SHARED)], [false, true]);
  assert.equal(await store.index.tag(ALPINE, LATEST), undefined);
  assert.deepEqual(await purge(store, BUSYBOX, undefined), { digests: 1, bytes: SHARED.length });
  assert.equal(await isHere(SHARED), false);
});

test('with a tag goes its manifest, and with a digest that alone', async () => {
  assert.deepEqual(await purge(store, ALPINE, parseReference('latest')), { digests: 1, bytes: OWN.length });
  assert.equal(await store.index.tag(ALPINE, LATEST), undefined);
  assert.deepEqual([await isHere(OWN), await isHere(SHARED)], [false, true]);
  assert.deepEqual(await purge(store, ALPINE, parseReference(sha256Of(SHARED))), { digests: 1, bytes: 0 });
  assert.equal(await store.index.link(ALPINE, 'blob', sha256Of(SHARED)), undefined);
  assert.ok(await isHere(SHARED));
});

test('what is not there is nothing to purge', async () => {
  assert.deepEqual(await purge(store, BUSYBOX, parseReference('latest')), { digests: 0, bytes: 0 });
  assert.deepEqual(await purge(store, BUSYBOX, parseReference(sha256Of(OWN))), { digests: 0, bytes: 0 });
  assert.ok(await isHere(OWN));
});
