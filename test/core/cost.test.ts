import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, test } from 'node:test';
import { sha256Of } from '../../src/registry/digest.ts';
import { DOCKER_HUB } from '../../src/registry/repository.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { ACCOUNT, SHORT_LIMITS, TestCore } from '../support/test-core.ts';

const MIB = 1024 * 1024;

/**
 * What is counted is what a pull costs; on a busy machine a time-out would add to that what was asked again.
 */
const LIMITS = {
  ...SHORT_LIMITS,
  ...{
    connect: 60_000,
    headers: 60_000,
    bodyIdle: 60_000,
    token: 60_000,
    question: 60_000,
    revalidation: 60_000,
  },
};

let hub: FakeHub;
let image: TestImage;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  image = imageOf({ layers: [1, 2, 3, 4].map((size) => randomBytes(size * 10_000)) });
  hub.push('library/alpine', '3.20', image);
});

afterEach(() => hub[Symbol.asyncDispose]());

/** What was asked since the last call, and how many bytes of body the storage sent. */
function takeCost() {
  const asked = hub.log.map(({ method, server }) => `${method} ${server}`);
  const stored = hub.log.filter(({ server }) => server === 'cdn');
  const bytes = stored.reduce((sum, entry) => sum + entry.bytes, 0);
  hub.log.length = 0;
  return { asked, bytes };
}

/** As a client pulls: what the tag names, once more by digest, the config and the layers. */
async function pull(core: TestCore, repository: string, grant = 'public'): Promise<void> {
  for (const reference of ['3.20', image.digest]) {
    const { body } = await core.ask(`${repository}/manifests/${reference}`, { grant });
    assertBytes(body, image.bytes, reference);
  }
  await Promise.all(
    [...image.blobs].map(async ([digest, bytes]) => {
      assertBytes(await core.blob(`${repository}/blobs/${digest}`, grant), bytes, digest);
    }),
  );
}

test('200 clients at once on one cold blob of 50 MiB cost one redirect and one GET of the storage', async () => {
  const layer = randomBytes(50 * MIB);
  const digest = sha256Of(layer);
  hub.push('library/big', 'latest', imageOf({ layers: [layer] }));
  await using core = await TestCore.start(hub, { limits: LIMITS });
  await core.ask('library/big/manifests/latest');
  takeCost();
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 1000, gate: gate.promise });

  const asking = Array.from({ length: 200 }, () => core.open(`library/big/blobs/${digest}`));
  const answers = await Promise.all(asking);
  gate.resolve();
  for (const lines of await Promise.all(answers.map(text))) {
    assert.deepEqual(JSON.parse(lines.trim().split('\n').at(-1) ?? ''), { kind: 'verified', size: 50 * MIB });
  }
  const states = answers.map(({ headers }) => headers['hubgate-cache']);
  assert.equal(states.filter((state) => state === 'fill').length, 1);
  assert.equal(states.filter((state) => state === 'joined').length, 199);
  assertBytes(await core.blob(`library/big/blobs/${digest}`), layer, 'the blob');
  assert.deepEqual(takeCost(), { asked: ['GET registry', 'GET cdn'], bytes: 50 * MIB });
});

for (const { who, credential, grant, tokens } of [
  { who: 'nobody', credential: undefined, grant: 'public', tokens: 1 },
  { who: 'the account', credential: ACCOUNT, grant: 'private', tokens: 1 },
  // Invariant 3: that it is public is asked without the credential, and bytes are fetched with it.
  { who: 'the account, for a grant of public content', credential: ACCOUNT, grant: 'public', tokens: 2 },
]) {
  test(`a cold image of four layers costs 13 requests, and tokens: ${tokens}, as ${who}`, async () => {
    const upstreams = [{ host: DOCKER_HUB, url: hub.url, ...(credential && { credential }) }];
    await using core = await TestCore.start(hub, { upstreams, limits: LIMITS });
    await pull(core, 'library/alpine', grant);
    const { asked, bytes } = takeCost();
    assert.equal(asked.filter((request) => request === 'GET token').length, tokens);
    // The head without a token and with one, the manifest; for each of the five blobs its redirect and its
    // bytes.
    assert.ok(asked.length - tokens <= 13, asked.join(', '));
    assert.equal(
      bytes,
      [...image.blobs.values()].reduce((sum, blob) => sum + blob.length, 0),
    );
    assert.equal(hub.remaining, 99);
  });
}

test('a warm image costs nothing while its tag is fresh, and one HEAD after that', async () => {
  await using core = await TestCore.start(hub, { limits: LIMITS });
  await pull(core, 'library/alpine');
  takeCost();
  core.now += 59_000;
  await pull(core, 'library/alpine');
  assert.deepEqual(takeCost(), { asked: [], bytes: 0 });
  core.now += 2_000;
  await pull(core, 'library/alpine');
  assert.deepEqual(takeCost(), { asked: ['HEAD registry'], bytes: 0 });
});

test('a cold HEAD of a blob costs no byte of body', async () => {
  await using core = await TestCore.start(hub, { limits: LIMITS });
  const target = `library/alpine/blobs/${image.layers[0]}`;
  const { status, headers } = await core.ask(target, { method: 'HEAD' });
  assert.deepEqual([status, headers['content-length']], [200, '10000']);
  assert.deepEqual(takeCost(), {
    asked: ['HEAD registry', 'GET token', 'HEAD registry', 'HEAD registry', 'HEAD cdn'],
    bytes: 0,
  });
});

test('the same image in a second repository costs no byte of the storage', async () => {
  hub.push('acme/open', '3.20', image);
  await using core = await TestCore.start(hub, { limits: LIMITS });
  await pull(core, 'library/alpine');
  takeCost();
  await pull(core, 'acme/open');
  const { asked, bytes } = takeCost();
  assert.equal(bytes, 0);
  assert.deepEqual(asked.toSorted(), ['GET token', ...Array.from({ length: 6 }, () => 'HEAD registry')]);
});
