import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { sha256Of } from '../../../src/registry/digest.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, SHORT_LIMITS, TestCore } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';

const TYPES = [
  'application/vnd.oci.artifact.manifest.v1+json',
  'application/vnd.cncf.oras.artifact.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/vnd.docker.distribution.manifest.v1+json; charset=utf-8',
];
const BYTES = Buffer.from('{"schemaVersion":1}');
const DIGEST = sha256Of(BYTES);

let hub: FakeHub;
let core: TestCore;
let image: TestImage;
let log: LoggedLine[];

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  image = imageOf();
  hub.push('acme/app', 'latest', image);
  log = [];
  core = await TestCore.start(hub, { log: testLog(log), limits: SHORT_LIMITS });
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function answerWith(type: string): void {
  const headers = { 'content-type': type, 'docker-content-digest': DIGEST };
  const body = BYTES.toString();
  hub.plant('registry', /manifests/, { kind: 'status', status: 200, headers, body });
}

for (const type of TYPES)
  test(`a manifest of ${type} is refused as what it is, and asked for once`, async () => {
    answerWith(type);
    await core.ask('acme/app/tags/list');
    hub.takeRequests();
    for (const reference of ['latest', DIGEST])
      for (const method of ['HEAD', 'GET', 'HEAD', 'GET']) {
        const { status, headers } = await core.ask(`acme/app/manifests/${reference}`, { method });
        assert.deepEqual([status, headers['hubgate-error']], [404, 'NOT_MIRRORED'], `${method} ${reference}`);
        assert.equal(headers['hubgate-media-type'], type.split(';')[0]);
      }
    // One for the tag; for the digest a HEAD as anonymous, and a GET as the account.
    const asked = hub.takeRequests().filter((line) => line.includes('/manifests/'));
    assert.equal(asked.length, 3, asked.join('\n'));
    const lines = log.filter(({ level }) => level >= 30).map(({ msg }) => msg);
    assert.ok(!lines.includes('upstream trouble'));
    assert.equal(lines.filter((msg) => msg === 'a manifest of this type is not mirrored').length, 3);
  });

test('a tag that names something else now is not what it was, also while the upstream cannot be asked', async () => {
  assert.equal((await core.ask('acme/app/manifests/latest')).status, 200);
  core.now += 61_000;
  answerWith('application/vnd.oci.artifact.manifest.v1+json');
  assert.equal((await core.ask('acme/app/manifests/latest')).headers['hubgate-error'], 'NOT_MIRRORED');
  await hub.stop();
  core.now += 61_000;
  assert.equal((await core.ask('acme/app/manifests/latest')).status, 502);
});

test('a page of HTML in the place of a manifest is trouble, and a copy stands in', async () => {
  assert.equal((await core.ask('acme/app/manifests/latest')).status, 200);
  for (const type of ['text/html', 'application/json', 'application/vnd.api+json', 'nonsense']) {
    core.now += 61_000;
    hub.heal();
    answerWith(type);
    const { status, headers } = await core.ask('acme/app/manifests/latest');
    assert.deepEqual([status, headers['hubgate-cache']], [200, 'stale'], type);
  }
});
