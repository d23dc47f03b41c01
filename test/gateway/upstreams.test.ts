import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { withMirror } from '../support/with-mirror.ts';

const USER = { user: 'ana' };

const ofHub = imageOf();
const ofGhcr = imageOf();
const ghcr = await FakeHub.start();
after(() => ghcr[Symbol.asyncDispose]());
ghcr.push('acme/tool', 'v1', ofGhcr);
const { hub, hubgate } = await withMirror(
  { after },
  {
    policy: 'allow: [{ pull: everything, to: authenticated }]',
    configuration: { upstreams: { 'ghcr.io': { url: ghcr.url } } },
    images: { 'acme/tool:v1': ofHub },
  },
);

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
