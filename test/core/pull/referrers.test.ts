import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { FakeHub } from '../../support/fake-hub.ts';
import { attestationOf, imageOf, indexOf, referrerOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, TestCore } from '../../support/test-core.ts';

const DAY = 24 * 60 * 60_000;
/** A time that is longer than the one for which a 404 is repeated without a question. */
const LATER = 61_000;

let hub: FakeHub;
let core: TestCore;
let image: TestImage;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.referrersPerPage = 50;
  image = imageOf();
  hub.push('acme/app', 'latest', image);
  core = await TestCore.start(hub);
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function sign(...names: string[]): void {
  for (const name of names) hub.push('acme/app', name, referrerOf(image, name));
}

const referrersOf = ({ digest }: TestImage) => `acme/app/referrers/${digest}`;
const tagOf = ({ digest }: TestImage, suffix = '') =>
  `acme/app/manifests/${digest.replace(':', '-')}${suffix}`;

async function listed(): Promise<number> {
  const { status, body } = await core.ask(referrersOf(image));
  assert.equal(status, 200);
  return JSON.parse(body.toString()).manifests.length;
}

/** Makes the Hub unreachable, and uses a core that has not asked it before. */
async function goDown(): Promise<void> {
  await hub.stop();
  core.now += LATER;
  await core.restart();
}

test('what the upstream said of referrers stands in while it cannot be asked, also after a restart', async () => {
  sign('one');
  assert.equal(await listed(), 1);
  await goDown();
  const { status, headers, body } = await core.ask(referrersOf(image));
  assert.deepEqual([status, headers['hubgate-cache'], headers.age], [200, 'stale', '61']);
  assert.equal(JSON.parse(body.toString()).manifests.length, 1);
  core.now += 7 * DAY;
  assert.equal((await core.ask(referrersOf(image))).status, 502);
});

test('that nothing refers to an image stands in as well: it stays unsigned', async () => {
  assert.equal(await listed(), 0);
  for (const suffix of ['', '.sig', '.att', '.sbom'])
    assert.equal((await core.ask(tagOf(image, suffix))).status, 404);
  await goDown();
  assert.equal(await listed(), 0);
  for (const suffix of ['', '.sig', '.att', '.sbom']) {
    const { status, headers } = await core.ask(tagOf(image, suffix));
    assert.deepEqual([status, headers.age], [404, '61'], suffix);
  }
  core.now += 7 * DAY;
  assert.equal((await core.ask(tagOf(image))).status, 502);
});

test('an image of which nobody has asked is not called unsigned by an upstream that cannot be asked', async () => {
  await core.ask('acme/app/manifests/latest');
  await goDown();
  for (const target of [referrersOf(image), tagOf(image), tagOf(image, '.sig')])
    assert.equal((await core.ask(target)).status, 502, target);
});

test('an attestation that is here is pulled with the Hub down, though nobody has asked for its referrers', async () => {
  const attestation = attestationOf('{}');
  hub.push('acme/app', 'attested', indexOf([image, attestation]));
  await core.ask('acme/app/manifests/attested');
  await core.ask(`acme/app/manifests/${attestation.digest}`);
  await goDown();
  for (const target of [referrersOf(attestation), tagOf(attestation)])
    assert.equal((await core.ask(target)).status, 404, target);
  assert.equal((await core.ask(tagOf(image))).status, 502);
});

test('a tag of referrers that comes after a "no" is served, and the "no" does not come back', async () => {
  await core.ask('acme/app/manifests/latest');
  assert.equal((await core.ask(tagOf(image))).status, 404);
  const tag = image.digest.replace(':', '-');
  hub.push('acme/app', tag, indexOf([referrerOf(image, 'one')]));
  core.now += LATER;
  assert.equal((await core.ask(tagOf(image))).status, 200);
  await goDown();
  const { status, headers } = await core.ask(tagOf(image));
  assert.deepEqual([status, headers['hubgate-cache']], [200, 'stale']);
  assert.equal(await core.purge('acme/app', tag), 200);
  assert.equal((await core.ask(tagOf(image))).status, 502);
});

test('all pages of referrers are one answer', async () => {
  hub.referrersPerPage = 2;
  sign('one', 'two', 'three', 'four', 'five');
  assert.equal(await listed(), 5);
  const pages = hub.log.filter(({ path, status }) => path.includes('/referrers/') && status === 200);
  assert.equal(pages.length, 3);
});

test('a part of the pages is no answer', async () => {
  hub.referrersPerPage = 1;
  sign('one', 'two', 'three');
  assert.equal(await listed(), 3);
  for (const status of [404, 503]) {
    let page = 0;
    hub.plant(
      'registry',
      /referrers/,
      {
        kind: 'after',
        action: () => {
          if (++page === 1) hub.plant('registry', /referrers/, { kind: 'status', status });
        },
      },
      1,
    );
    core.now += LATER;
    const { headers } = await core.ask(referrersOf(image));
    assert.equal(headers['hubgate-cache'], 'stale', String(status));
    hub.heal();
    assert.equal(await listed(), 3);
  }
});

test('pages without an end are given up', async () => {
  const link = `</v2/acme/app/referrers/${image.digest}?page=1>; rel="next"`;
  const body = JSON.stringify({ schemaVersion: 2, manifests: [] });
  hub.plant('registry', /referrers/, { kind: 'status', status: 200, headers: { link }, body });
  assert.equal((await core.ask(referrersOf(image))).status, 502);
  assert.ok(hub.log.length < 120);
});

test('pages that are larger than 4 MiB together are given up', async () => {
  const link = `</v2/acme/app/referrers/${image.digest}?page=1>; rel="next"`;
  const body = JSON.stringify({ schemaVersion: 2, manifests: [], annotations: { a: 'x'.repeat(2 ** 20) } });
  hub.plant('registry', /referrers/, { kind: 'status', status: 200, headers: { link }, body });
  assert.equal((await core.ask(referrersOf(image))).status, 502);
  const pages = hub.log.filter(({ path }) => path.includes('/referrers/'));
  assert.ok(pages.length < 10, `${pages.length} pages`);
});

for (const status of [404, 400, 405, 406, 501])
  test(`an upstream without the endpoint (${status}) lets clients look at the tag`, async () => {
    const index = indexOf([referrerOf(image, 'one')]);
    hub.push('acme/app', image.digest.replace(':', '-'), index);
    hub.plant('registry', /referrers/, { kind: 'status', status });
    await core.ask('acme/app/manifests/latest');
    for (const grant of ['public', 'private']) {
      const refused = await core.ask(referrersOf(image), { grant });
      assert.deepEqual([refused.status, refused.headers['hubgate-error']], [404, 'MANIFEST_UNKNOWN']);
      assert.deepEqual((await core.ask(tagOf(image), { grant })).body, index.bytes);
    }
    await goDown();
    assert.equal((await core.ask(referrersOf(image))).status, 404);
    assert.deepEqual((await core.ask(tagOf(image))).body, index.bytes);
  });

test('what the account was told of referrers is not for a grant of public content', async () => {
  sign('one');
  assert.equal((await core.ask(referrersOf(image), { grant: 'private' })).status, 200);
  await core.ask('acme/app/manifests/latest');
  await goDown();
  assert.equal((await core.ask(referrersOf(image))).status, 502);
  assert.equal((await core.ask(referrersOf(image), { grant: 'private' })).status, 200);
});

test('invariant 4: of a repository that has become private nothing is said of referrers', async () => {
  sign('one');
  assert.equal(await listed(), 1);
  hub.setPrivate('acme/app', true);
  const hidden = await core.ask(referrersOf(image));
  const missing = await core.ask(`acme/none/referrers/${image.digest}`);
  assert.deepEqual([hidden.status, hidden.body], [404, missing.body]);
  await goDown();
  assert.equal((await core.ask(referrersOf(image))).status, 502);
});

test('a name that nobody has leaves nothing in the index', async () => {
  hub.plant('registry', /none/, { kind: 'status', status: 404 });
  for (const target of ['referrers/', 'manifests/']) {
    const reference = target === 'referrers/' ? image.digest : image.digest.replace(':', '-');
    for (const grant of ['public', 'private'])
      assert.equal((await core.ask(`acme/none/${target}${reference}`, { grant })).status, 404);
  }
  assert.deepEqual(await core.repositories(), []);
});
