import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { TestHubgate } from '../support/test-hubgate.ts';

const USER = { user: 'ana' };

let hub: FakeHub;
let ghcr: FakeHub;
let hubgate: TestHubgate;
let ofHub: TestImage;
let ofGhcr: TestImage;

before(async () => {
  hub = await FakeHub.start();
  ghcr = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  ofHub = imageOf();
  ofGhcr = imageOf();
  hub.push('acme/tool', 'v1', ofHub);
  ghcr.push('acme/tool', 'v1', ofGhcr);
  hubgate = await TestHubgate.start(hub, {
    policy: 'allow: [{ pull: everything, to: authenticated }]',
    upstreams: { 'ghcr.io': ghcr.url },
  });
});

after(async () => {
  await hubgate[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
  await ghcr[Symbol.asyncDispose]();
});

test('each form of a name goes to the upstream that it means', async () => {
  for (const target of [
    '/v2/acme/tool/manifests/v1',
    '/docker.io/v2/acme/tool/manifests/v1',
    '/v2/acme/tool/manifests/v1?ns=docker.io',
  ]) {
    assert.deepEqual((await hubgate.ask(target, USER)).body, ofHub.bytes, target);
  }
  for (const target of [
    '/v2/ghcr.io/acme/tool/manifests/v1',
    '/ghcr.io/v2/acme/tool/manifests/v1',
    '/v2/acme/tool/manifests/v1?ns=ghcr.io',
  ]) {
    assert.deepEqual((await hubgate.ask(target, USER)).body, ofGhcr.bytes, target);
  }
});

test('an upstream that is not configured is unknown, and nobody is asked', async () => {
  hub.takeRequests();
  ghcr.takeRequests();
  for (const target of [
    '/v2/quay.io/acme/tool/manifests/v1',
    '/quay.io/v2/acme/tool/manifests/v1',
    '/v2/acme/tool/manifests/v1?ns=quay.io',
  ]) {
    assert.equal((await hubgate.ask(target, USER)).status, 404, target);
  }
  assert.deepEqual([...hub.takeRequests(), ...ghcr.takeRequests()], []);
});

test('invariant 5: the credential of one upstream is not shown to another', async () => {
  ghcr.push('acme/other', 'v1', imageOf());
  ghcr.log.length = 0;
  await hubgate.ask('/v2/ghcr.io/acme/other/manifests/v1', USER);
  const sent = JSON.stringify(ghcr.log.map(({ headers }) => headers));
  assert.ok(ghcr.log.length > 0);
  assert.doesNotMatch(sent, /Basic/);
});

test('what one upstream’s repository contains is not served in the other’s of the same name', async () => {
  await hubgate.ask(`/v2/acme/tool/blobs/${ofHub.layers[0]}`, USER);
  assert.equal((await hubgate.ask(`/v2/ghcr.io/acme/tool/blobs/${ofHub.layers[0]}`, USER)).status, 404);
});
