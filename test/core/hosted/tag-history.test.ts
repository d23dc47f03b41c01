import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { type Hosted, openHosted } from '../../../src/core/hosted/hosted.ts';
import { sha256Of } from '../../../src/registry/digest.ts';
import { parseTag, type Tag } from '../../../src/registry/reference.ts';
import { QUIET } from '../../support/test-core.ts';

const DAY = 24 * 60 * 60_000;
const AUTHOR = { subject: 'user:ana', credential: 'c1' };
const INDEX = 'application/vnd.oci.image.index.v1+json';

let now = 0;

async function open(stack: AsyncDisposableStack): Promise<Hosted> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-history-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const namespaces = [{ name: 'acme', immutableTags: [] }];
  now = 1_000 * DAY;
  return stack.use(await openHosted({ directory, namespaces }, QUIET, () => now));
}

function tagOf(name: string): Tag {
  const tag = parseTag(name);
  assert.ok(tag);
  return tag;
}

/** Pushes another manifest under the tag. */
async function move({ manifests }: Hosted, name: string, to: string): Promise<string> {
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [], annotations: { to } }),
  );
  const reference = { kind: 'tag', tag: tagOf(name) } as const;
  const put = await manifests.put({
    ...{ repository: 'acme/app', reference, tags: [], bytes, contentType: INDEX, by: AUTHOR },
  });
  assert.equal(put.kind, 'published');
  return sha256Of(bytes);
}

async function changesOf({ tags }: Hosted, name: string): Promise<number> {
  return (await tags.history('acme/app', tagOf(name)))?.length ?? 0;
}

test('the history of a tag has its newest thousand changes, and the last one can be undone', async () => {
  await using stack = new AsyncDisposableStack();
  const hosted = await open(stack);
  const first = await move(hosted, 'latest', 'first');
  await move(hosted, 'other', 'first');
  await hosted.database.change(function* ({ select, change }) {
    const id = (yield* select.repository.get('acme/app'))?.id ?? 0;
    for (let times = 0; times < 1_500; times++)
      yield* change.addHistory.run(id, 'latest', first, first, now, AUTHOR.subject, AUTHOR.credential);
  });
  assert.equal(await changesOf(hosted, 'latest'), 1_000);
  const rows = await hosted.database.read((select) => select.historyAfter.all(0, 10_000));
  assert.equal(rows.length, 1_001);
  assert.equal(await changesOf(hosted, 'other'), 1);
  await move(hosted, 'latest', 'second');
  const restored = await hosted.tags.restore('acme/app', tagOf('latest'), AUTHOR);
  assert.deepEqual([restored.kind, 'digest' in restored && restored.digest], ['restored', first]);
});

test('a change is forgotten after 90 days, except the last one of a tag that is there', async () => {
  await using stack = new AsyncDisposableStack();
  const hosted = await open(stack);
  const first = await move(hosted, 'kept', 'first');
  await move(hosted, 'kept', 'second');
  await move(hosted, 'kept', 'third');
  const second = (await hosted.tags.history('acme/app', tagOf('kept')))?.[0]?.previous;
  await move(hosted, 'deleted', 'first');
  await hosted.removal.manifest('acme/app', { kind: 'tag', tag: tagOf('deleted') }, AUTHOR);
  // More than one batch.
  for (let count = 0; count < 120; count++) await move(hosted, `tag-${count}`, 'first');
  now += 60 * DAY;
  await move(hosted, 'young', 'first');
  now += 29 * DAY;
  await hosted.tags.trim();
  assert.deepEqual([await changesOf(hosted, 'kept'), await changesOf(hosted, 'deleted')], [3, 2]);
  now += 2 * DAY;
  await hosted.tags.trim();
  assert.deepEqual([await changesOf(hosted, 'kept'), await changesOf(hosted, 'deleted')], [1, 0]);
  for (let count = 0; count < 120; count++) assert.equal(await changesOf(hosted, `tag-${count}`), 1);
  assert.equal(await changesOf(hosted, 'young'), 1);
  assert.notEqual(second, first);
  const restored = await hosted.tags.restore('acme/app', tagOf('kept'), AUTHOR);
  assert.deepEqual([restored.kind, 'digest' in restored && restored.digest], ['restored', second]);
});
