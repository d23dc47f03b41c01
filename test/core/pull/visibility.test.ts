import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { CoreOptions } from '../../../src/core/core.ts';
import { assertBytes } from '../../support/assert-bytes.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, TestCore } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TAG = 'library/alpine/manifests/latest';
const TAGS = 'library/alpine/tags/list';
/** The request with which the core asks whether the repository can be read. */
const REVIEW = 'GET registry /v2/library/alpine/tags/list';

let hub: FakeHub;
let core: TestCore;
let log: LoggedLine[];
let image: TestImage;
let manifest: string;
let layer: string;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: ['acme/secret', 'library/alpine'] });
  image = imageOf();
  manifest = `library/alpine/manifests/${image.digest}`;
  layer = `library/alpine/blobs/${image.layers[0]}`;
  hub.push('library/alpine', 'latest', image);
  log = [];
  core = await TestCore.start(hub, { log: testLog(log) });
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

async function pullAll(grant = 'public'): Promise<void> {
  assert.equal((await core.ask(TAG, { grant })).status, 200);
  for (const blob of image.blobs.keys()) await core.blob(`library/alpine/blobs/${blob}`, grant);
  hub.log.length = 0;
}

async function restart(options: Partial<CoreOptions>): Promise<void> {
  await core.restart(options);
}

async function statuses(targets: readonly string[], grant = 'public'): Promise<string[]> {
  const answers: string[] = [];
  for (const target of targets) {
    const { status, headers } = await core.ask(target, { grant });
    answers.push(status === 200 ? `200 ${headers['hubgate-cache']}` : String(status));
  }
  return answers;
}

/** The publisher deletes the tag, its manifest and its blobs; the repository stays. */
function deleteUpstream(): void {
  hub.removeTag('library/alpine', 'latest');
  hub.plant('registry', new RegExp(`${image.digest}|blobs`), { kind: 'status', status: 404 });
}

/** Answers as a registry that tells nobody that a private repository exists. */
function hide(): void {
  hub.plant('registry', /library\/alpine/, { kind: 'status', status: 404 });
}

function outage(): void {
  hub.heal();
  hub.plant('registry', /./, { kind: 'status', status: 503 });
}

test('what was deleted upstream stays by its digest while its repository can be read; its tag is gone', async () => {
  await pullAll();
  deleteUpstream();
  for (const age of [11 * MINUTE, 11 * MINUTE, 2 * MINUTE, DAY, 20 * DAY]) {
    core.now += age;
    assert.deepEqual(await statuses([manifest, layer]), ['200 hit', '200 hit'], `${age}`);
    assert.equal((await core.ask(manifest, { method: 'HEAD' })).status, 200);
    assert.deepEqual(await statuses([TAG]), ['404']);
    // Another subject's pull from the repository changes nothing.
    hub.push('library/alpine', 'other', imageOf());
    await core.ask('library/alpine/manifests/other');
    assert.deepEqual(await statuses([manifest, layer]), ['200 hit', '200 hit'], `${age}`);
  }
  assertBytes(await core.blob(layer), image.blobs.get(image.layers[0] ?? assert.fail()));
  const said = log.filter(({ msg }) => msg.startsWith('the upstream has deleted content'));
  assert.equal(said.length, 1, 'nobody has asked about the layer');
});

test('`keepDeleted` counts from when the upstream says so, and what is there again is not deleted', async () => {
  await restart({ keepDeleted: DAY });
  await pullAll();
  core.now += 3 * DAY;
  deleteUpstream();
  assert.deepEqual(await statuses([manifest, layer]), ['200 hit', '200 hit']);
  core.now += 23 * HOUR;
  assert.deepEqual(await statuses([manifest]), ['200 hit']);
  hub.heal();
  core.now += 2 * HOUR;
  assert.deepEqual(await statuses([manifest, layer]), ['200 hit', '200 hit'], 'they are there again');
  core.now += 30 * DAY;
  deleteUpstream();
  assert.deepEqual(await statuses([manifest, layer]), ['200 hit', '200 hit']);
  // Other subjects' pulls from the repository do not delay that.
  hub.push('library/alpine', 'other', imageOf());
  core.now += DAY;
  await core.ask('library/alpine/manifests/other');
  assert.deepEqual(await statuses([manifest, layer]), ['404', '404']);
  assert.deepEqual(await statuses([manifest, layer], 'private'), ['404', '404']);
  outage();
  core.now += MINUTE;
  assert.deepEqual(await statuses([manifest, layer]), ['502', '502']);
});

test('with `keepDeleted: 0` what was deleted upstream is gone when the upstream says so', async () => {
  await restart({ keepDeleted: 0 });
  await pullAll();
  deleteUpstream();
  core.now += 11 * MINUTE;
  assert.deepEqual(await statuses([manifest, layer]), ['404', '404']);
});

test('a digest is asked about as before: one question, and one more only if the upstream has deleted it', async () => {
  await pullAll();
  core.now += 11 * MINUTE;
  await core.ask(manifest);
  const asked = () => hub.takeRequests().filter((one) => !one.includes(' token '));
  assert.deepEqual(asked(), [`HEAD registry /v2/${manifest}`]);
  core.now += 11 * MINUTE;
  deleteUpstream();
  await core.ask(manifest);
  assert.deepEqual(asked(), [`HEAD registry /v2/${manifest}`, REVIEW]);
  await core.ask(manifest);
  assert.deepEqual(asked(), []);
});

test('invariants 3 and 12: what a "no" took away does not come back with later trouble', async () => {
  await pullAll();
  await core.ask(TAGS);
  hide();
  core.now += 11 * MINUTE;
  assert.deepEqual(await statuses([TAG, manifest, layer, TAGS]), ['404', '404', '404', '404']);
  outage();
  for (const later of [MINUTE, HOUR]) {
    core.now += later;
    assert.deepEqual(await statuses([TAG, manifest, layer, TAGS]), ['502', '502', '502', '502']);
  }
});

for (const [first, target] of [
  ['tag', () => TAG],
  ['manifest', () => manifest],
  ['layer', () => layer],
  ['list of tags', () => TAGS],
] as const) {
  test(`invariant 3: a repository that is hidden is private at once, whoever notices it by its ${first}`, async () => {
    await pullAll();
    await core.ask(TAGS);
    core.now += 11 * MINUTE;
    hide();
    assert.deepEqual(await statuses([target()]), ['404']);
    outage();
    core.now += MINUTE;
    assert.deepEqual(await statuses([manifest, layer]), ['502', '502']);
  });
}

test('invariant 3: something is gone, and the upstream cannot say whether the repository is: nothing is public', async () => {
  await pullAll();
  core.now += 11 * MINUTE;
  hub.plant('registry', /tags/, { kind: 'status', status: 503 });
  deleteUpstream();
  assert.deepEqual(await statuses([manifest, layer]), ['502', '502']);
  outage();
  core.now += MINUTE;
  assert.deepEqual(await statuses([manifest, layer]), ['502', '502']);
  hub.heal();
  core.now += 10 * MINUTE;
  deleteUpstream();
  assert.deepEqual(await statuses([manifest, layer]), ['200 hit', '200 hit'], 'it says that it is there');
});

test('what the account is told is gone from its repository is forgotten with it', async () => {
  await pullAll('private');
  hide();
  core.now += 2 * MINUTE;
  assert.deepEqual(await statuses([TAG], 'private'), ['404']);
  outage();
  core.now += MINUTE;
  assert.deepEqual(await statuses([TAG, manifest, layer], 'private'), ['502', '502', '502']);
});

test('what anonymous is refused by 404 is not taken back from the account either', async () => {
  hub.push('acme/secret', 'latest', imageOf(), { private: true });
  assert.deepEqual(await statuses(['acme/secret/manifests/latest'], 'private'), ['200 fill']);
  core.now += 2 * MINUTE;
  hub.plant('registry', /acme\/secret/, { kind: 'status', status: 404 });
  hub.log.length = 0;
  assert.deepEqual(await statuses(['acme/secret/manifests/latest']), ['404']);
  // Invariant 4: the steps are those for a repository that is missing.
  assert.ok(hub.takeRequests().every((asked) => !asked.includes('/tags/')));
  outage();
  assert.deepEqual(await statuses(['acme/secret/manifests/latest'], 'private'), ['200 stale']);
});

test('a copy whose repository the upstream cannot confirm is stale, with its age', async () => {
  await pullAll();
  core.now += HOUR;
  await hub.stop();
  for (const target of [manifest, layer]) {
    const { headers } = await core.ask(target);
    assert.equal(headers['hubgate-cache'], 'stale', target);
    assert.equal(headers['hubgate-max-age-ms'], undefined);
  }
  assert.equal((await core.ask(manifest)).headers.age, '3600');
});

test('invariant 3: a redirect to a login page says neither that a repository is public nor that it has a blob', async () => {
  const secret = imageOf();
  const blob = `acme/secret/blobs/${secret.layers[0]}`;
  hub.push('acme/secret', 'latest', secret, { private: true });
  await core.ask('acme/secret/manifests/latest', { grant: 'private' });
  await core.blob(blob, 'private');
  const location = new URL('/login', hub.cdnUrl).href;
  hub.plant('registry', /acme\/|library\/other/, { kind: 'status', status: 302, headers: { location } });
  hub.plant('cdn', /login/, {
    kind: 'status',
    status: 200,
    headers: { 'content-type': 'text/html', 'content-length': '20' },
    body: '<html>Sign in</html>',
  });
  const targets = [blob, `acme/secret/manifests/${secret.digest}`, 'acme/secret/manifests/latest'];
  assert.deepEqual(await statuses([...targets, ...targets]), ['502', '502', '502', '502', '502', '502']);
  const head = await core.ask(blob, { method: 'HEAD' });
  assert.notEqual(head.status, 200);
  // The same holds for subjects who may have private content of another repository.
  const foreign = `library/other/blobs/${secret.layers[0]}`;
  assert.deepEqual(await statuses([foreign], 'private'), ['502']);
});

test('invariant 3: what is pushed after a repository has become private is not fetched by what was known before', async () => {
  await pullAll();
  hub.setPrivate('library/alpine', true);
  const later = imageOf();
  hub.push('library/alpine', 'latest', later);
  core.now += 2 * MINUTE;
  const pushed = [`library/alpine/manifests/${later.digest}`, `library/alpine/blobs/${later.layers[0]}`];
  assert.deepEqual(await statuses(pushed), ['404', '404']);
});

test('invariant 3: what the account has learnt meanwhile is not given to grants of public content', async () => {
  await pullAll();
  await core.ask(TAGS);
  hub.setPrivate('library/alpine', true);
  const later = imageOf();
  hub.push('library/alpine', 'latest', later);
  hub.push('library/alpine', 'later', later);
  core.now += 2 * MINUTE;
  const pushed = [`library/alpine/manifests/${later.digest}`, `library/alpine/blobs/${later.layers[0]}`];
  assert.deepEqual(await statuses([TAG, 'library/alpine/manifests/later', ...pushed, TAGS], 'private'), [
    '200 fill',
    '200 fill',
    '200 hit',
    '200 fill',
    '200 fill',
  ]);
  outage();
  const targets = [TAG, 'library/alpine/manifests/later', ...pushed];
  assert.deepEqual(await statuses(targets), ['502', '502', '502', '502']);
  const { body } = await core.ask(TAGS);
  assert.deepEqual(JSON.parse(body.toString()).tags, ['latest']);
});

test('what the account has learnt is confirmed once, and then it is public', async () => {
  await pullAll('private');
  assert.deepEqual(await statuses([TAG]), ['200 revalidated']);
  assert.deepEqual(await statuses([manifest, layer]), ['200 hit', '200 hit']);
  hub.log.length = 0;
  assert.deepEqual(await statuses([TAG, manifest, layer]), ['200 hit', '200 hit', '200 hit']);
  assert.deepEqual(hub.takeRequests(), []);
});

test('a repository that was public too long ago is not listed as public', async () => {
  await pullAll();
  const listed = async () => (await core.repositories()).map(({ visibility }) => visibility);
  assert.deepEqual(await listed(), ['public']);
  core.now += 7 * DAY;
  assert.deepEqual(await listed(), ['public']);
  core.now += HOUR;
  assert.deepEqual(await listed(), ['unknown']);
});
