import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { type Hosted, type HostedOptions, openHosted } from '../../../src/core/hosted/hosted.ts';
import type { HostedDatabase } from '../../../src/core/hosted/hosted-database.ts';
import { MOST_TAG_CHANGES } from '../../../src/core/hosted/hosted-statements.ts';
import { RefusedChange } from '../../../src/core/hosted/refusal.ts';
import { verifyHosted } from '../../../src/core/hosted/verify.ts';
import { type Digest, sha256Of } from '../../../src/registry/digest.ts';
import { parseTag, type Tag } from '../../../src/registry/reference.ts';
import { QUIET } from '../../support/test-core.ts';

export interface OpenedHostedDatabase extends AsyncDisposable {
  readonly database: HostedDatabase;
  /** The database as another node opens it; the same if there can be no other node. */
  readonly other: HostedDatabase;
}

const DAY = 24 * 60 * 60_000;
const REPOSITORY = 'acme/app';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const AUTHOR = { subject: 'user:ana', credential: 'c1' };
const NEVER = new AbortController().signal;

/** Two nodes on one database. Each has its own files. */
class Nodes {
  readonly one: Hosted;
  readonly two: Hosted;
  readonly database: HostedDatabase;
  readonly other: HostedDatabase;
  now = 1_000 * DAY;

  static async open(
    stack: AsyncDisposableStack,
    opened: OpenedHostedDatabase,
    rules: Partial<HostedOptions['namespaces'][number]> = {},
  ): Promise<Nodes> {
    const nodes: Hosted[] = [];
    const clock = () => made?.now ?? 1_000 * DAY;
    let made: Nodes | undefined;
    for (const database of [opened.database, opened.other]) {
      const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-hosted-'));
      stack.defer(() => rm(directory, { recursive: true }));
      const namespaces = [{ name: 'acme', immutableTags: [], ...rules }];
      const hosted = await openHosted({ directory, namespaces, database }, QUIET, clock);
      nodes.push(stack.use(hosted));
    }
    const [one = assert.fail(), two = assert.fail()] = nodes;
    made = new Nodes(opened, one, two);
    return made;
  }

  private constructor({ database, other }: OpenedHostedDatabase, one: Hosted, two: Hosted) {
    this.database = database;
    this.other = other;
    this.one = one;
    this.two = two;
  }
}

function tagOf(name: string): Tag {
  return parseTag(name) ?? assert.fail();
}

async function pushBlob({ uploads, blobs }: Hosted, content: string, repository = REPOSITORY) {
  const upload = await uploads.begin({ repository, subjectKey: 'user:ana' }, 'sha256', NEVER);
  if ('kind' in upload) return upload;
  const body = { body: Readable.from([Buffer.from(content)]), range: undefined, length: content.length };
  return blobs.complete(upload, sha256Of(Buffer.from(content)), body, NEVER);
}

interface PushedDocument {
  readonly tag?: string;
  readonly note?: string;
  readonly manifests?: readonly Digest[];
  readonly subject?: Digest;
}

function documentOf({ note = '', manifests = [], subject }: PushedDocument): Buffer {
  const descriptor = (digest: Digest) => ({ mediaType: INDEX, digest, size: 2 });
  return Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType: INDEX, manifests: manifests.map(descriptor) },
      ...{ artifactType: 'application/x', annotations: { note } },
      ...(subject && { subject: descriptor(subject) }),
    }),
  );
}

function push({ manifests }: Hosted, pushed: PushedDocument) {
  const bytes = documentOf(pushed);
  const { tag } = pushed;
  return manifests.put({
    ...{ repository: REPOSITORY, tags: [], bytes, contentType: INDEX, by: AUTHOR },
    reference:
      tag === undefined ? { kind: 'digest', digest: sha256Of(bytes) } : { kind: 'tag', tag: tagOf(tag) },
  });
}

async function repositoryOf(database: HostedDatabase) {
  const row = await database.read((select) => select.repository.get(REPOSITORY));
  return { bytes: row?.bytes, tags: row?.tags };
}

async function tagsOf({ pull }: Hosted): Promise<readonly string[]> {
  const found = await pull.tags(REPOSITORY, {});
  assert.equal(found.kind, 'found');
  return JSON.parse(found.bytes.toString()).tags;
}

/** Registers the tests that every database of hosted repositories must pass. `open` opens an empty one. */
export function testHostedDatabase(name: string, open: () => Promise<OpenedHostedDatabase>): void {
  const check = (
    what: string,
    task: (nodes: Nodes) => Promise<void>,
    rules: Partial<HostedOptions['namespaces'][number]> = {},
  ) =>
    test(`${name}: ${what}`, async () => {
      await using stack = new AsyncDisposableStack();
      const opened = stack.use(await open());
      await task(await Nodes.open(stack, opened, rules));
    });

  check('a change that throws has changed nothing, and those beside it count', async ({ database }) => {
    const add = (reason: string, refuses: boolean) =>
      database.change(function* ({ change }) {
        yield* change.addRepository.run(`acme/${reason}`);
        if (refuses) throw new RefusedChange('DENIED', reason);
      });
    const settled = await Promise.allSettled([add('a', false), add('b', true), add('c', false)]);
    assert.deepEqual(
      settled.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.ok(settled[1]?.status === 'rejected' && settled[1].reason instanceof RefusedChange);
    const rows = await database.read((select) => select.repositories.all('', 10));
    assert.deepEqual(
      rows.map((row) => row.path),
      ['acme/a', 'acme/c'],
    );
  });

  check('changes are serial, whichever node makes them', async ({ database, other }) => {
    const count = (at: HostedDatabase) =>
      at.change(function* ({ select, change }) {
        const before = yield* select.removals.all(1_000);
        yield* change.addRemoval.run(null, null, sha256Of(Buffer.from('')), 'c', String(before.length));
      });
    await Promise.all(Array.from({ length: 40 }, (_, at) => count(at % 2 === 0 ? database : other)));
    const rows = await database.read((select) => select.removals.all(1_000));
    assert.deepEqual(
      rows.map(({ reason }) => reason),
      Array.from({ length: 40 }, (_, at) => String(at)),
    );
  });

  check('a read sees the database as it is at one moment', async ({ database, other }) => {
    const digest = sha256Of(Buffer.from(''));
    await database.change(({ change }) => change.addRepository.run(REPOSITORY));
    const id = (await database.read((select) => select.repository.get(REPOSITORY)))?.id ?? 0;
    const set = (at: number) =>
      other.change(function* ({ change }) {
        yield* change.putTag.run(id, 'a', digest, at);
        yield* change.putTag.run(id, 'b', digest, at);
      });
    const look = () =>
      database.read(function* (select) {
        const a = yield* select.tag.get(id, 'a');
        const b = yield* select.tag.get(id, 'b');
        return [a?.set_at, b?.set_at];
      });
    await set(0);
    for (let at = 1; at < 30; at++) {
      const [, ...seen] = await Promise.all([set(at), look(), look(), look()]);
      for (const [a, b] of seen) assert.equal(a, b);
    }
    assert.deepEqual(await look(), [29, 29]);
  });

  check('what is pushed to one node is pulled from another', async ({ one, two }) => {
    const blob = await pushBlob(one, 'layer');
    assert.equal(blob.kind, 'published');
    assert.equal((await two.pull.head(REPOSITORY, sha256Of(Buffer.from('layer')))).kind, 'found');
    const pushed = await push(one, { tag: 'latest' });
    assert.ok(pushed.kind === 'published');
    const pulled = await two.pull.manifest(REPOSITORY, { kind: 'tag', tag: tagOf('latest') }, 'GET');
    assert.ok(pulled.kind === 'found');
    assert.deepEqual([pulled.digest, pulled.bytes], [pushed.digest, documentOf({})]);
    // Whoever was not told about a push pushes again.
    assert.deepEqual(await push(two, { tag: 'latest' }), { ...pushed, previous: undefined });
    assert.equal((await pushBlob(two, 'layer')).kind, 'published');
  });

  check('names are in the order of their bytes, page by page', async ({ one, two }) => {
    for (const tag of ['b', 'a.1', 'Z', 'a-1', 'a_1', '1']) await push(one, { tag });
    assert.deepEqual(await tagsOf(two), ['1', 'Z', 'a-1', 'a.1', 'a_1', 'b']);
    const page = await two.pull.tags(REPOSITORY, { n: 2, last: tagOf('Z') });
    assert.ok(page.kind === 'found');
    assert.deepEqual(JSON.parse(page.bytes.toString()).tags, ['a-1', 'a.1']);
    assert.deepEqual(page.next, { n: 2, last: 'a.1' });
  });

  check('referrers are found by their subject and their type', async ({ one, two }) => {
    const subject = sha256Of(documentOf({}));
    const first = sha256Of(documentOf({ subject, note: 'first' }));
    await push(one, { subject, note: 'first' });
    for (const [type, digests] of [
      [undefined, [first]],
      ['application/x', [first]],
      ['application/y', []],
    ] as const) {
      const found = await two.pull.referrers(REPOSITORY, subject, type, undefined);
      assert.ok(found.kind === 'found');
      const listed: { digest: string; annotations: object }[] = JSON.parse(found.bytes.toString()).manifests;
      assert.deepEqual(
        listed.map((one) => one.digest),
        digests,
      );
      assert.deepEqual(listed[0]?.annotations ?? { note: 'first' }, { note: 'first' });
    }
  });

  check('the bytes and tags of a repository are counted with its content', async ({ one, two, database }) => {
    await pushBlob(one, 'layer');
    await pushBlob(two, 'layer');
    const size = documentOf({}).length;
    await push(one, { tag: '1' });
    await push(two, { tag: '2' });
    await push(two, { tag: '2' });
    assert.deepEqual(await repositoryOf(database), { bytes: 5 + size, tags: 2 });
    await two.removal.manifest(REPOSITORY, { kind: 'tag', tag: tagOf('1') }, AUTHOR);
    assert.deepEqual(await repositoryOf(database), { bytes: 5 + size, tags: 1 });
    await one.removal.manifest(REPOSITORY, { kind: 'digest', digest: sha256Of(documentOf({})) }, AUTHOR);
    await one.removal.blob(REPOSITORY, sha256Of(Buffer.from('layer')));
    assert.deepEqual(await repositoryOf(database), { bytes: 0, tags: 0 });
    assert.deepEqual(await database.read((select) => select.used.get('acme')).then((row) => row?.bytes), 0);
  });

  check('the last change of a tag is undone on any node', async ({ one, two }) => {
    await push(one, { tag: 'latest', note: 'first' });
    await push(two, { tag: 'latest', note: 'second' });
    const [first, second] = ['first', 'second'].map((note) => sha256Of(documentOf({ note })));
    const restored = await one.tags.restore(REPOSITORY, tagOf('latest'), AUTHOR);
    assert.deepEqual(restored, { kind: 'restored', digest: first, previous: second });
    const history = (await two.tags.history(REPOSITORY, tagOf('latest'))) ?? [];
    assert.deepEqual(
      history.map(({ digest, previous }) => [digest, previous]),
      [
        [first, second],
        [second, first],
        [first, null],
      ],
    );
  });

  check('the history of a tag is bounded', async ({ database, one }) => {
    await push(one, { tag: 'latest' });
    const digest = sha256Of(documentOf({}));
    await database.change(function* ({ select, change }) {
      const id = (yield* select.repository.get(REPOSITORY))?.id ?? 0;
      for (let at = 0; at < MOST_TAG_CHANGES + 10; at++)
        yield* change.addHistory.run(id, 'latest', digest, digest, at, 'user:ana', 'c1');
    });
    const rows = await database.read((select) => select.historyAfter.all(0, 10_000));
    assert.equal(rows.length, MOST_TAG_CHANGES);
    assert.deepEqual([rows[0]?.at, rows.at(-1)?.at], [10, MOST_TAG_CHANGES + 9]);
  });

  const immutable = { immutableTags: ['*'] };
  check(
    'of two pushes of one immutable tag at the same time, one is refused',
    async ({ one, two }) => {
      for (let round = 0; round < 10; round++) {
        const tag = `v${round}`;
        const pushed = await Promise.all([push(one, { tag, note: 'a' }), push(two, { tag, note: 'b' })]);
        const refused = pushed.filter((result) => result.kind === 'refused');
        assert.deepEqual(
          refused.map(({ error }) => error),
          ['TAG_IMMUTABLE'],
        );
      }
    },
    immutable,
  );

  check('of two changes of one tag at the same time, each says what it has replaced', async (nodes) => {
    await push(nodes.one, { tag: 'latest', note: 'old' });
    const old = sha256Of(documentOf({ note: 'old' }));
    const [a, b] = await Promise.all([
      push(nodes.one, { tag: 'latest', note: 'a' }),
      push(nodes.two, { tag: 'latest', note: 'b' }),
    ]);
    assert.ok(a.kind === 'published' && b.kind === 'published');
    const previous = new Set([a.previous, b.previous]);
    assert.ok(previous.has(old));
    assert.ok(previous.has(a.digest) !== previous.has(b.digest));
  });

  check(
    'two nodes together do not exceed a quota',
    async ({ one, two, database }) => {
      for (let round = 0; round < 5; round++) {
        const [a, b] = await Promise.all([
          pushBlob(one, `a${round}`.repeat(300)),
          pushBlob(two, `b${round}`.repeat(300)),
        ]);
        assert.deepEqual([a.kind, b.kind].toSorted(), ['published', 'refused']);
        assert.deepEqual(await repositoryOf(database), { bytes: 600, tags: 0 });
        for (const name of ['a', 'b'])
          await one.removal.blob(REPOSITORY, sha256Of(Buffer.from(`${name}${round}`.repeat(300))));
      }
    },
    { quota: 1_000 },
  );

  check('a blob that a HEAD or a push has found stays, whichever node collects', async (nodes) => {
    const { one, two, database } = nodes;
    for (let round = 0; round < 10; round++) {
      const content = `layer ${round}`;
      const digest = sha256Of(Buffer.from(content));
      await pushBlob(one, content);
      // Its lease is over now, and it is due.
      nodes.now += 2 * DAY;
      const isPush = round % 2 === 1;
      const [found] = await Promise.all([
        isPush ? pushBlob(one, content) : one.pull.head(REPOSITORY, digest),
        two.collection.collect(),
      ]);
      const row = await database.read(function* (select) {
        const id = (yield* select.repository.get(REPOSITORY))?.id ?? 0;
        return yield* select.blob.get(id, digest);
      });
      assert.equal(row !== undefined, found.kind !== 'refused');
      if (isPush) assert.equal(found.kind, 'published');
      await two.collection.collect();
      assert.equal((await one.pull.head(REPOSITORY, digest)).kind !== 'refused', row !== undefined);
    }
  });

  check(
    'a manifest is found, or its tag is refused, while retention and pushes run on two nodes',
    async (nodes) => {
      const { one, two } = nodes;
      await push(one, { note: 'child' });
      const child = sha256Of(documentOf({ note: 'child' }));
      nodes.now += 30 * DAY;
      const [pushed] = await Promise.all([
        push(one, { tag: 'latest', manifests: [child] }),
        two.retention.retain(),
      ]);
      const found = await two.pull.manifest(REPOSITORY, { kind: 'digest', digest: child }, 'HEAD');
      assert.equal(pushed.kind === 'published', found.kind === 'found');
      if (pushed.kind === 'refused') assert.equal(pushed.error, 'MANIFEST_BLOB_UNKNOWN');
    },
    { retention: { untaggedAfter: 7 * DAY } },
  );

  check(
    'what retention removes is removed once, and recorded once',
    async (nodes) => {
      const { one, two } = nodes;
      for (const tag of ['1', '2', '3', '4', '5', '6']) {
        nodes.now += 1;
        await push(one, { tag, note: tag });
      }
      nodes.now += DAY;
      const removed = await Promise.all([one.retention.retain(), two.retention.retain()]);
      assert.deepEqual(
        removed
          .flat()
          .map(({ tag }) => tag)
          .toSorted(),
        ['1', '2', '3', '4'],
      );
      assert.deepEqual(await tagsOf(one), ['5', '6']);
      const recorded = await two.removals.next(undefined);
      assert.deepEqual(recorded.map(({ tag }) => tag).toSorted(), ['1', '2', '3', '4']);
      await two.removals.next(recorded.at(-1)?.id);
      assert.deepEqual(await one.removals.next(undefined), []);
    },
    { retention: { keepLast: 2 } },
  );

  check(
    'retention spares the tag of a signature whose image stays, and no other of its form',
    async (nodes) => {
      const { one } = nodes;
      const signatureOf = (note: string) => `${sha256Of(documentOf({ note })).replace(':', '-')}.sig`;
      await push(one, { tag: 'kept', note: 'image' });
      for (const note of ['image', 'another'])
        await push(one, { tag: signatureOf(note), note: `signature of ${note}` });
      nodes.now += 1;
      await push(one, { tag: 'kept-too', note: 'image' });
      await push(one, { tag: 'last', note: 'last' });
      await one.retention.retain();
      assert.deepEqual(await tagsOf(one), ['kept-too', 'last', signatureOf('image')]);
    },
    { retention: { keepLast: 2 } },
  );

  check('the history is trimmed, and content is verified, on any node', async (nodes) => {
    const { one, two } = nodes;
    for (const note of ['a', 'b', 'c']) await push(one, { tag: 'latest', note });
    nodes.now += 100 * DAY;
    await Promise.all([one.tags.trim(), two.tags.trim()]);
    assert.equal((await two.tags.history(REPOSITORY, tagOf('latest')))?.length, 1);
    assert.deepEqual(await verifyHosted(two.database, two.content), { blobs: 0, manifests: 3, damages: [] });
  });
}
