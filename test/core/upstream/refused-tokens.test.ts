/**
 * Tests what a 401, or a missing token service, says about the token, the repository, or only this moment.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { Digest } from '../../../src/registry/digest.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, SHORT_LIMITS, TestCore } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';

const ALPINE = 'library/alpine/manifests/latest';
const BUSYBOX = 'library/busybox/manifests/latest';

let hub: FakeHub;
let core: TestCore;
let image: TestImage;
let log: LoggedLine[];

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: ['acme/pay'] });
  image = imageOf();
  hub.push('library/alpine', 'latest', image);
  hub.push('library/busybox', 'latest', imageOf());
  hub.push('acme/pay', 'latest', image, { private: true });
  log = [];
  core = await TestCore.start(hub, { limits: { ...SHORT_LIMITS, breakAfter: 1000 }, log: testLog(log) });
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

async function stateOf(target: string, grant = 'public'): Promise<string> {
  const { status, headers } = await core.ask(target, { grant });
  return `${status} ${headers['hubgate-error'] ?? headers['hubgate-cache']}`;
}

/** The registry refuses requests for the repository, whatever token they carry. */
function refuse(repository: string, error: string | undefined, times: number): void {
  const challenge = hub.challenge(repository) + (error === undefined ? '' : `,error="${error}"`);
  const headers = { 'www-authenticate': challenge };
  hub.plant('registry', new RegExp(`/v2/${repository}/`), { kind: 'status', status: 401, headers }, times);
}

const tokens = () => hub.log.filter(({ server }) => server === 'token').length;
/** Advances the clock past a token's life, so that the next request needs a new one. */
const pastTokens = () => {
  core.now += 6 * 60_000;
};

for (const [repository, grant] of [
  ['library/alpine', 'public'],
  ['acme/pay', 'private'],
] as const) {
  test(`a registry that does not know a new token yet says nothing about ${repository}`, async () => {
    const targets = [
      `${repository}/manifests/latest`,
      `${repository}/manifests/${image.digest}`,
      `${repository}/blobs/${image.layers[0] as Digest}`,
    ];
    const [tag = '', , layer = ''] = targets;
    assert.equal(await stateOf(tag, grant), '200 fill');
    assert.ok(Buffer.isBuffer(await core.blob(layer, grant)));
    pastTokens();
    refuse(repository, 'invalid_token', 2);
    log.length = 0;
    assert.equal(await stateOf(tag, grant), '200 stale');
    assert.deepEqual(
      log.map(({ msg, detail }) => [msg, String(detail).replace(/^\S+ /, '')]),
      [['upstream trouble', 'refuses a token of its own token service: invalid_token']],
    );
    hub.heal();
    core.now += 61_000;
    assert.equal(await stateOf(tag, grant), '200 revalidated');
    for (const target of targets) assert.match(await stateOf(target, grant), /^200/);
  });
}

test('a new token that is refused once is replaced once', async () => {
  await stateOf(BUSYBOX);
  pastTokens();
  hub.log.length = 0;
  refuse('library/busybox', 'invalid_token', 1);
  assert.equal(await stateOf(BUSYBOX), '200 revalidated');
  assert.equal(tokens(), 2);
});

test('a token that is refused again and again is replaced no more than once, and is no word on the repository', async () => {
  refuse('library/alpine', 'invalid_token', Number.POSITIVE_INFINITY);
  assert.equal(await stateOf(ALPINE), '502 UPSTREAM_FAILED');
  assert.ok(tokens() <= 2, `${tokens()} tokens`);
  hub.heal();
  assert.equal(await stateOf(ALPINE), '200 fill', 'nothing was remembered');
});

for (const error of ['insufficient_scope', undefined]) {
  test(`a 401 with ${error ?? 'no error'} is a word on the repository`, async () => {
    assert.equal(await stateOf(ALPINE), '200 fill');
    pastTokens();
    refuse('library/alpine', error, Number.POSITIVE_INFINITY);
    assert.equal(await stateOf(ALPINE), '404 MANIFEST_UNKNOWN');
  });
}

test('one odd challenge does not take the place of a token service that answers', async () => {
  assert.equal(await stateOf(ALPINE), '200 fill');
  core.now += 61_000;
  const gone = new URL('http://127.0.0.1:1/token');
  const headers = { 'www-authenticate': hub.challenge('library/alpine', gone) };
  hub.plant('registry', /alpine/, { kind: 'status', status: 401, headers }, 1);
  assert.equal(await stateOf(ALPINE), '200 stale');
  hub.log.length = 0;
  assert.equal(await stateOf(BUSYBOX), '200 fill');
  assert.deepEqual(hub.takeRequests().slice(0, 2), [
    'GET token /token',
    'HEAD registry /v2/library/busybox/manifests/latest',
  ]);
});

for (const behaviour of [
  { kind: 'status', status: 404 },
  { kind: 'status', status: 503 },
  { kind: 'cut' },
  { kind: 'raw', bytes: 'rubbish' },
] as const) {
  const how = behaviour.kind === 'status' ? `answers ${behaviour.status}` : `is ${behaviour.kind}`;
  test(`a token service that ${how} is forgotten, and the registry asked which one there is now`, async () => {
    // What the registry names first is gone soon after.
    const before = { 'www-authenticate': hub.challenge('library/alpine', new URL('/before', hub.tokenUrl)) };
    hub.plant('registry', /alpine/, { kind: 'status', status: 401, headers: before }, 1);
    assert.equal(await stateOf(ALPINE), '200 fill');
    hub.plant('token', /before/, behaviour);
    assert.equal(await stateOf(BUSYBOX), '200 fill');
    pastTokens();
    hub.log.length = 0;
    assert.equal(await stateOf(ALPINE), '200 revalidated');
    assert.equal(hub.log[0]?.path, '/token', 'the new one is asked at once from then on');
  });
}

test('a token service that is down is asked once in a question, and again in the next', async () => {
  assert.equal(await stateOf(ALPINE), '200 fill');
  pastTokens();
  hub.plant('token', /./, { kind: 'status', status: 503 });
  hub.log.length = 0;
  assert.equal(await stateOf(ALPINE), '200 stale');
  assert.equal(tokens(), 1);
  hub.heal();
  assert.equal(await stateOf(ALPINE), '200 revalidated');
});
