import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DOCKER_HUB } from '../../src/registry/repository.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';

const POLICY = 'allow:\n  - { id: all, pull: everything, to: authenticated, private: true }';

const ACCOUNTS = ['main', 'pay'].map((name) => ({
  name,
  credential: { username: name, password: `of ${name}` },
}));

test('the audit log names the account that bore the cost, and only if there are several', async () => {
  await using hub = await FakeHub.start();
  const image = imageOf();
  for (const name of ['acme/app', 'acme/pay-api']) hub.push(name, 'latest', image);
  for (const { credential } of ACCOUNTS) hub.accounts.push({ ...credential, repositories: [] });
  const [main, pay] = ACCOUNTS;
  assert.ok(main !== undefined && pay !== undefined);
  const accounts = [main, { ...pay, only: (name: string) => name === 'docker.io/acme/pay-api' }];
  const upstreams = [{ host: DOCKER_HUB, url: hub.url, accounts }];
  await using hubgate = await TestHubgate.start(hub, { policy: POLICY, core: { upstreams } });
  const [layer] = image.layers;
  for (const target of [
    'acme/app/manifests/latest',
    'acme/pay-api/manifests/latest',
    `acme/app/blobs/${layer}`,
    'acme/app/manifests/latest',
  ])
    assert.equal((await hubgate.ask(`/v2/${target}`, { user: 'ana' })).status, 200);
  const pulls = async () => (await hubgate.audit()).filter(({ action }) => action === 'pull');
  await waitFor(async () => (await pulls()).length === 4);
  // A line is written when its answer has been sent, so two lines can change places.
  const recorded = (await pulls()).map(({ repository, account = 'none' }) => `${repository} ${account}`);
  assert.deepEqual(recorded.sort(), [
    'docker.io/acme/app main',
    'docker.io/acme/app main',
    'docker.io/acme/app none',
    'docker.io/acme/pay-api pay',
  ]);
});
