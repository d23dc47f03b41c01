import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { CORE_HEADERS } from '../../../src/protocol/core-api.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, TestCore } from '../../support/test-core.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const TAG = 'library/alpine/manifests/latest';

let hub: FakeHub;
let core: TestCore;
let image: TestImage;
let byDigest: string[];

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  image = imageOf();
  hub.push('library/alpine', 'latest', image);
  core = await TestCore.start(hub);
  const layer = `library/alpine/blobs/${image.layers[0]}`;
  byDigest = [`library/alpine/manifests/${image.digest}`, layer];
  await core.ask(TAG);
  await core.blob(layer);
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

/** Milliseconds for which the answer may be given again without asking; undefined: not at all. */
async function holds(target: string, grant = 'public'): Promise<number | undefined> {
  const { status, headers } = await core.ask(target, { grant });
  assert.equal(status, 200);
  const value = headers[CORE_HEADERS.maxAgeMs];
  return value === undefined ? undefined : Number(value);
}

test('an answer by tag holds for as long as the tag is fresh, and not where it had to be asked for', async () => {
  core.now += 20 * SECOND;
  assert.equal(await holds(TAG), 40 * SECOND);
  core.now += 41 * SECOND;
  assert.equal(await holds(TAG), undefined);
});

test('invariant 3: an answer by digest holds for five minutes, and no longer than its repository is known to be public', async () => {
  core.now += MINUTE;
  for (const target of byDigest) assert.equal(await holds(target), 5 * MINUTE, target);
  core.now += 7 * MINUTE;
  for (const target of byDigest) assert.equal(await holds(target), 2 * MINUTE, target);
  for (const target of byDigest) assert.equal(await holds(target, 'private'), 5 * MINUTE, target);
});

test('invariant 3: a tag that the account has confirmed tells nothing of who may see the repository', async () => {
  core.now += 10 * MINUTE - 20 * SECOND;
  await core.ask(TAG, { grant: 'private' });
  assert.equal(await holds(TAG, 'private'), MINUTE);
  assert.equal(await holds(TAG), 20 * SECOND);
});

test('what the upstream had to be asked for is not to be given again as if it were that answer', async () => {
  const other = imageOf();
  hub.push('library/alpine', 'other', other);
  const target = `library/alpine/manifests/${other.digest}`;
  const { status, headers } = await core.ask(target, { method: 'HEAD' });
  assert.equal(status, 200);
  assert.equal(headers[CORE_HEADERS.cache], 'fill');
  assert.equal(headers[CORE_HEADERS.maxAgeMs], undefined);
});
