import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, test } from 'node:test';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, TestCore } from '../../support/test-core.ts';

let hub: FakeHub;
let core: TestCore;
let image: TestImage;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  image = imageOf();
  hub.push('library/alpine', '3.20', image);
  core = await TestCore.start(hub);
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

/** The work of this process: statements of SQLite and calls of `stat`. */
interface Lookups {
  readonly statements: number;
  readonly stats: number;
}

/**
 * Node itself reports both: each statement of SQLite, and each `stat` of `node:fs/promises`, which is an
 * FSREQPROMISE.
 */
async function lookupsOf(task: () => Promise<unknown>): Promise<Lookups> {
  let [statements, stats] = [0, 0];
  const count = () => statements++;
  const init = (_id: number, type: string) => {
    if (type === 'FSREQPROMISE') stats++;
  };
  const hook = createHook({ init }).enable();
  subscribe('sqlite.db.query', count);
  try {
    await task();
  } finally {
    unsubscribe('sqlite.db.query', count);
    hook.disable();
  }
  return { statements, stats };
}

/** The fewest lookups of several requests, because the core's periodic tasks can only add some. */
async function lookupsFor(resource: string, { method = 'GET', grant = 'public' } = {}): Promise<Lookups> {
  const target = `library/alpine/${resource}`;
  // The first requests fill the cache, and learn what the upstream says.
  for (let count = 0; count < 2; count++)
    if (resource.startsWith('blobs/')) await core.blob(target, grant);
    else await core.ask(target, { grant });
  const all: Lookups[] = [];
  for (let count = 0; count < 5; count++)
    all.push(
      await lookupsOf(async () => {
        const { status, headers } = await core.ask(target, { method, grant });
        assert.deepEqual([status, headers['hubgate-cache']], [200, 'hit']);
      }),
    );
  return {
    statements: Math.min(...all.map((one) => one.statements)),
    stats: Math.min(...all.map((one) => one.stats)),
  };
}

test('a cached blob costs one lookup each of its link, the visibility, its record and its file', async () => {
  const blob = `blobs/${image.layers[0]}`;
  assert.deepEqual(await lookupsFor(blob), { statements: 3, stats: 1 });
  assert.deepEqual(await lookupsFor(blob, { method: 'HEAD' }), { statements: 3, stats: 1 });
  // With private read access the visibility does not matter.
  assert.deepEqual(await lookupsFor(blob, { grant: 'private' }), { statements: 2, stats: 1 });
});

test('a cached manifest costs no more lookups than a blob, and a tag none of its link', async () => {
  const byDigest = `manifests/${image.digest}`;
  assert.equal((await lookupsFor(byDigest)).statements, 3);
  assert.deepEqual(await lookupsFor(byDigest, { method: 'HEAD' }), { statements: 3, stats: 1 });
  assert.equal((await lookupsFor('manifests/3.20')).statements, 3);
  assert.deepEqual(await lookupsFor('manifests/3.20', { method: 'HEAD' }), {
    statements: 2,
    stats: 0,
  });
});
