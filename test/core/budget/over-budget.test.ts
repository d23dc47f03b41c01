import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { parseQuotaRefusal } from '../../../src/protocol/core-api.ts';
import { assertBytes } from '../../support/assert-bytes.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import type { TestResponse } from '../../support/http.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, TestCore } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

const HOUR = 3_600_000;
const SIX_HOURS = 6 * HOUR;

let hub: FakeHub;
let core: TestCore;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: ['acme/pay'] });
  hub.isLimited = false;
  core = await TestCore.start(hub);
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function push(path: string, image = imageOf(), tag = '1'): TestImage {
  hub.push(path, tag, image, { private: path === 'acme/pay' });
  return image;
}

/** The headers of a subject with one limit. */
function subject(name: string, allowed: { pulls?: number; bytes?: number } = {}) {
  const { pulls, bytes } = allowed;
  const budget = {
    ...{ limit: `of-${name}`, key: `of-${name}` },
    ...(pulls !== undefined && { pulls: { max: pulls, windowMs: SIX_HOURS } }),
    ...(bytes !== undefined && { bytes: { max: bytes, windowMs: SIX_HOURS } }),
  };
  return { 'hubgate-subject-key': name, 'hubgate-budgets': JSON.stringify([budget]) };
}

const ANA = subject('ana');
/** A subject that may neither pull nor download. */
const CI = subject('ci', { pulls: 0, bytes: 0 });

interface Asked {
  readonly headers?: Record<string, string>;
  readonly method?: string;
  readonly grant?: string;
}

function manifest(path: string, asked: Asked, reference = '1'): Promise<TestResponse> {
  return core.ask(`${path}/manifests/${reference}`, asked);
}

function blob(path: string, digest: string, asked: Asked): Promise<TestResponse> {
  return core.ask(`${path}/blobs/${digest}`, asked);
}

/** Returns all of an answer that reaches a client, which the time and the accounting do not. */
function visible({ status, headers, body }: TestResponse) {
  const { date: _, 'hubgate-upstream-requests': _none, ...others } = headers;
  return { status, others, body: body.toString() };
}

function refusalIn({ headers }: TestResponse) {
  return parseQuotaRefusal(String(headers['hubgate-quota-refusal']));
}

test('a refusal is the same for what exists, for what does not and for what is private, and costs no request', async () => {
  push('library/alpine');
  const secret = push('acme/pay');
  assert.equal((await manifest('acme/pay', { headers: ANA, grant: 'private' })).status, 200);
  hub.log.length = 0;
  const other = imageOf();
  const references = ['1', secret.digest, other.digest];
  const paths = ['library/alpine', 'library/missing', 'acme/pay'];
  for (const grant of ['public', 'private']) {
    const asked = paths.flatMap((path) => references.map((reference) => ({ path, reference })));
    const cold = asked.filter(({ path, reference }) => {
      const isCached = path === 'acme/pay' && reference !== other.digest && grant === 'private';
      return !isCached && reference !== secret.digest;
    });
    const answers = await Promise.all(
      cold.map(({ path, reference }) => manifest(path, { headers: CI, grant }, reference)),
    );
    const [first, ...others] = answers.map(visible);
    assert.equal(first?.status, 429);
    for (const answer of others) assert.deepEqual(answer, first);
    assert.deepEqual(hub.takeRequests(), [], grant);
  }
  // What is here because of another repository is asked for with a HEAD, which is free.
  const refused = visible(await manifest('library/missing', { headers: CI }));
  for (const path of ['library/alpine', 'library/missing', 'acme/pay'])
    assert.deepEqual(visible(await manifest(path, { headers: CI }, secret.digest)), refused, path);
  assert.ok(hub.takeRequests().every((request) => !/^GET registry/.test(request)));
});

test('a refusal of a blob is the same whatever exists, and costs no request', async () => {
  const image = push('library/alpine');
  push('acme/pay', image);
  await manifest('library/alpine', { headers: ANA });
  hub.log.length = 0;
  const [layer = ''] = image.layers;
  const paths = ['library/alpine', 'library/missing', 'acme/pay'];
  const answers = await Promise.all(paths.map((path) => blob(path, layer, { headers: CI })));
  const [first, ...others] = answers.map(visible);
  assert.equal(first?.status, 429);
  for (const answer of others) assert.deepEqual(answer, first);
  assert.deepEqual(hub.takeRequests(), []);
});

test('a client that asks again and again after a refusal costs the upstream nothing', async () => {
  push('library/alpine');
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => manifest('library/alpine', { headers: CI })),
  );
  assert.ok(answers.every(({ status }) => status === 429));
  assert.deepEqual(hub.takeRequests(), []);
});

test('of many pulls at a time, no more are begun than are left', async () => {
  const ci = subject('ci', { pulls: 3 });
  for (let at = 0; at < 10; at++) push(`library/image-${at}`);
  const names = Array.from({ length: 20 }, (_, at) => `library/${at < 10 ? 'image' : 'missing'}-${at}`);
  await manifest('library/missing', { headers: ci });
  hub.log.length = 0;
  const answers = await Promise.all(names.map((name) => manifest(name, { headers: ci })));
  const pulled = answers.filter(({ status }) => status === 200).length;
  const missing = answers.filter(({ status }) => status === 404).length;
  assert.ok(pulled + missing >= 3 && pulled <= 3, `${pulled} pulled, ${missing} missing`);
  for (const answer of answers.filter(({ status }) => status === 429))
    assert.equal(answer.headers['hubgate-upstream-requests'], undefined);
  const asked = hub.log.flatMap(({ path }) => /^\/v2\/(.+)\/manifests\//.exec(path)?.[1] ?? []);
  assert.equal(new Set(asked).size, pulled + missing);
});

test('a refusal says which limit, how much of it is used, and until when', async () => {
  const ci = subject('ci', { pulls: 1 });
  for (const name of ['one', 'two', 'three']) push(`library/${name}`);
  assert.equal((await manifest('library/one', { headers: ci })).status, 200);
  const refused = await manifest('library/two', { headers: ci });
  const { untilMs = 0, ...refusal } = refusalIn(refused) ?? assert.fail();
  assert.deepEqual(refusal, {
    ...{ kind: 'limit', id: 'of-ci', unit: 'pulls', used: 1, max: 1, windowMs: SIX_HOURS },
  });
  assert.ok(untilMs > core.now + SIX_HOURS / 2 && untilMs <= core.now + SIX_HOURS * 1.1, `${untilMs}`);
  core.now = untilMs;
  assert.equal((await manifest('library/three', { headers: ci })).status, 200);
});

test('a pull that comes to nothing is given back', async () => {
  const ci = subject('ci', { pulls: 1 });
  push('library/alpine');
  assert.equal((await manifest('library/missing', { headers: ci })).status, 404);
  await hub.stop();
  assert.equal((await manifest('library/alpine', { headers: ci })).status, 502);
  await hub.restart();
  core.now += 120_000;
  await waitFor(async () => (await manifest('library/alpine', { headers: ci })).status === 200);
});

test('counts outlast a restart', async () => {
  const ci = subject('ci', { pulls: 2 });
  for (const name of ['one', 'two', 'three']) push(`library/${name}`);
  assert.equal((await manifest('library/one', { headers: ci })).status, 200);
  await core.restart();
  assert.equal((await manifest('library/two', { headers: ci })).status, 200);
  await core.restart();
  assert.equal((await manifest('library/three', { headers: ci })).status, 429);
  assert.equal((await manifest('library/one', { headers: ci })).status, 200);
});

test('a requester that may not pull gets what another one is pulling', async () => {
  push('library/alpine');
  const gate = Promise.withResolvers<void>();
  hub.plant('registry', /^GET .*manifests/, { kind: 'after', action: () => gate.promise });
  const first = manifest('library/alpine', { headers: ANA });
  await waitFor(() => hub.log.some(({ method, path }) => method === 'GET' && path.includes('/manifests/')));
  const joining = manifest('library/alpine', { headers: CI });
  // When this one has been refused, the one before it has been looked at too.
  assert.equal((await manifest('library/busybox', { headers: CI })).status, 429);
  gate.resolve();
  const joined = await joining;
  assert.deepEqual([(await first).status, joined.status], [200, 200]);
  assert.equal(joined.headers['hubgate-counted-pulls'], undefined);
});

test('a tag that has moved keeps its earlier digest for a requester that may not pull the new one', async () => {
  const before = push('library/alpine');
  await manifest('library/alpine', { headers: ANA });
  const after = push('library/alpine');
  core.now += 61_000;
  hub.log.length = 0;
  for (const method of ['GET', 'HEAD']) {
    const { status, headers, body } = await manifest('library/alpine', { headers: CI, method });
    assert.equal(status, 200);
    assert.equal(headers['docker-content-digest'], before.digest, method);
    assert.equal(headers['hubgate-cache'], 'stale');
    assert.equal(headers['hubgate-held'], 'limit:of-ci');
    assert.equal(headers.age, '61');
    assert.equal(headers['hubgate-max-age-ms'], undefined);
    if (method === 'GET') assertBytes(body, before.bytes, 'the earlier manifest');
  }
  // One HEAD, which is free, has told that it has moved.
  assert.deepEqual(hub.takeRequests(), ['HEAD registry /v2/library/alpine/manifests/1']);
  assert.equal((await manifest('library/alpine', { headers: CI }, after.digest)).status, 429);
  const { headers } = await manifest('library/alpine', { headers: ANA });
  assert.equal(headers['docker-content-digest'], after.digest);
  const now = await manifest('library/alpine', { headers: CI });
  assert.deepEqual(
    [now.headers['docker-content-digest'], now.headers['hubgate-held']],
    [after.digest, undefined],
  );
});

test('a tag that a pull with private access has moved is answered by what that has brought here', async () => {
  push('library/alpine');
  await manifest('library/alpine', { headers: ANA });
  const after = push('library/alpine');
  core.now += 61_000;
  await manifest('library/alpine', { headers: ANA, grant: 'private' });
  core.now += 61_000;
  hub.log.length = 0;
  const { status, headers } = await manifest('library/alpine', { headers: CI });
  assert.deepEqual([status, headers['docker-content-digest']], [200, after.digest]);
  assert.deepEqual(hub.takeRequests(), ['HEAD registry /v2/library/alpine/manifests/1']);
});

test('a private tag that is cached is refused as a missing one is, and is not asked for', async () => {
  push('acme/pay');
  assert.equal((await manifest('acme/pay', { headers: ANA, grant: 'private' })).status, 200);
  core.now += 61_000;
  hub.log.length = 0;
  const cached = await manifest('acme/pay', { headers: CI });
  const missing = await manifest('acme/missing', { headers: CI });
  assert.deepEqual([cached.status, cached.body], [429, missing.body]);
  assert.deepEqual(hub.takeRequests(), []);
});

test('a reserve and a fair share hold a moved tag back too, and say so', async () => {
  hub.isLimited = true;
  hub.remaining = 100;
  const before = push('library/alpine');
  await manifest('library/alpine', { headers: ANA });
  push('library/alpine');
  core.now += 61_000;
  const reserved = { ...ANA, 'hubgate-reserved': '{"share":1,"ids":["prod"]}' };
  const held = await manifest('library/alpine', { headers: reserved });
  assert.equal(held.headers['hubgate-held'], 'reserve:prod');
  assert.equal(held.headers['docker-content-digest'], before.digest);
  const cold = refusalIn(await manifest('library/busybox', { headers: reserved }));
  assert.deepEqual([cold?.kind, cold?.id], ['reserve', 'prod']);
});

test('bytes are charged to the one that began a download, and what is under way or cached is free', async () => {
  const image = push('library/alpine', imageOf({ layers: [Buffer.alloc(30_000, 1), Buffer.alloc(50, 2)] }));
  const [layer = '', small = ''] = image.layers;
  const ana = subject('ana', { bytes: 20_000 });
  const none = subject('ci', { bytes: 0 });
  await manifest('library/alpine', { headers: ana });
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 100, gate: gate.promise });
  const first = blob('library/alpine', layer, { headers: ana });
  await waitFor(() => hub.log.some(({ server }) => server === 'cdn'));
  const joining = blob('library/alpine', layer, { headers: none });
  assert.equal((await blob('library/alpine', small, { headers: none })).status, 429);
  gate.resolve();
  assert.deepEqual([(await first).status, (await joining).status], [200, 200]);
  const refused = await blob('library/alpine', small, { headers: ana });
  assert.equal(refused.status, 429);
  const { kind, id, unit, used = 0, max } = refusalIn(refused) ?? assert.fail();
  assert.deepEqual({ kind, id, unit, max }, { kind: 'limit', id: 'of-ana', unit: 'bytes', max: 20_000 });
  assert.equal(used, 30_000);
  for (const headers of [ana, none])
    assert.equal((await blob('library/alpine', layer, { headers })).status, 200);
  assert.equal((await blob('library/alpine', small, { headers: subject('bo') })).status, 200);
});

test('the upstream’s own refusal says until when, and is not asked for again with every image', async () => {
  for (const name of ['one', 'two']) push(`library/${name}`);
  hub.plant('registry', /^GET .*manifests/, {
    ...{ kind: 'status', status: 429, headers: { 'retry-after': '120' } },
  });
  const refused = await manifest('library/one', { headers: ANA });
  assert.equal(refused.status, 429);
  assert.deepEqual(refusalIn(refused), { kind: 'upstream', unit: 'pulls', untilMs: core.now + 120_000 });
  hub.log.length = 0;
  for (const name of ['one', 'two', 'missing']) {
    const again = await manifest(`library/${name}`, { headers: ANA });
    assert.equal(again.status, 429);
    assert.equal(refusalIn(again)?.untilMs, core.now + 120_000);
  }
  assert.deepEqual(hub.takeRequests(), []);
});

test('a HEAD, a list of tags and the tag of referrers are never refused', async () => {
  const image = push('library/alpine');
  const asked = { headers: CI };
  assert.equal((await manifest('library/alpine', { ...asked, method: 'HEAD' })).status, 200);
  assert.equal((await core.ask('library/alpine/tags/list', asked)).status, 200);
  const tag = image.digest.replace(':', '-');
  assert.equal((await manifest('library/alpine', asked, tag)).status, 404);
});

const PATHS = ['library/alpine', 'library/busybox', 'acme/pay'] as const;
const STEPS = fc.array(
  fc.record({
    path: fc.constantFrom(...PATHS),
    grant: fc.constantFrom('public', 'private'),
    does: fc.constantFrom('pull', 'pull', 'push', 'ask', 'ask'),
    method: fc.constantFrom('GET', 'HEAD'),
    // A tag is not fresh any more then, so a pull gets what was pushed last.
    later: fc.integer({ min: 61_000, max: 8 * HOUR }),
  }),
  { minLength: 4, maxLength: 14 },
);

type Step = typeof STEPS extends fc.Arbitrary<(infer One)[]> ? One : never;

/** A cache of its own, and what was pulled into it by a requester that may pull. */
class PulledCache implements AsyncDisposable {
  readonly #core: TestCore;
  readonly #current = new Map<string, TestImage>(PATHS.map((path) => [path, push(path)]));
  /** By path. */
  readonly #pulled = new Map<string, { readonly image: TestImage; readonly grant: string }[]>();

  constructor(own: TestCore) {
    this.#core = own;
  }

  async take(step: Step): Promise<void> {
    this.#core.now += step.later;
    if (step.does === 'push') this.#current.set(step.path, push(step.path));
    else if (step.does === 'pull') await this.#pull(step);
    else await this.#check(step);
  }

  async #pull({ path, grant }: Step): Promise<void> {
    const image = this.#current.get(path) ?? assert.fail();
    const answer = await this.#core.ask(`${path}/manifests/1`, { grant, headers: ANA });
    if (answer.status !== 200) return;
    assert.equal(answer.headers['docker-content-digest'], image.digest);
    for (const digest of image.blobs.keys()) await this.#core.blob(`${path}/blobs/${digest}`, grant);
    this.#pulled.set(path, [...this.#pulledFrom(path), { image, grant }]);
  }

  #pulledFrom(path: string) {
    return this.#pulled.get(path) ?? [];
  }

  /**
   * The tag has one digest in the cache. One that came by private access is not known to be public before
   * the upstream says so, and then it must be the current one.
   */
  #isTagCached({ path, grant }: Step): boolean {
    const pulled = this.#pulledFrom(path);
    if (!pulled.some((one) => one.grant === grant)) return false;
    const last = pulled.at(-1);
    return grant === 'private' || last?.grant === grant || last?.image === this.#current.get(path);
  }

  async #check(step: Step): Promise<void> {
    const { path, grant, method } = step;
    const ask = (target: string) => this.#core.ask(`${path}/${target}`, { grant, method, headers: CI });
    const pulled = this.#pulledFrom(path);
    const cached = pulled.filter((one) => one.grant === grant).map(({ image }) => image);
    hub.log.length = 0;
    const { status, headers } = await ask('manifests/1');
    const digests = pulled.map(({ image }): unknown => image.digest);
    const isCached = this.#isTagCached(step);
    if (isCached) assert.equal(status, 200, `${path} ${grant} ${method}`);
    if (isCached || (method === 'GET' && status === 200))
      assert.ok(digests.includes(headers['docker-content-digest']));
    const parts = cached.flatMap(({ digest, layers: [layer] }) => [`manifests/${digest}`, `blobs/${layer}`]);
    for (const part of parts) assert.equal((await ask(part)).status, 200, part);
    for (const request of hub.takeRequests())
      assert.doesNotMatch(request, /^GET (?:registry .*manifests|cdn)/);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#core[Symbol.asyncDispose]();
  }
}

test('an empty budget never blocks what is cached, and never costs a pull or a byte', async () => {
  await fc.assert(
    fc.asyncProperty(STEPS, async (steps) => {
      await using cache = new PulledCache(await TestCore.start(hub));
      for (const step of steps) await cache.take(step);
    }),
    // A smaller sequence takes minutes to find, and a failure names the seed.
    { numRuns: 15, endOnFailure: true },
  );
});
