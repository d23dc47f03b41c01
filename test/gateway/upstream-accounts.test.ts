import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { imageOf } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = 'allow:\n  - { id: all, pull: everything, to: authenticated, private: true }';

test('the audit log names the account that bore the cost, and only if there are several', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-accounts-'));
  t.after(() => rm(directory, { recursive: true }));
  const accountOf = async (name: string) => {
    const passwordFile = path.join(directory, name);
    await writeFile(passwordFile, `of ${name}`, { mode: 0o600 });
    return { name, username: name, passwordFile };
  };
  const accounts = [await accountOf('main'), { ...(await accountOf('pay')), only: 'acme/pay-api' }];
  const image = imageOf();
  await using mirror = await withMirror(t, {
    policy: POLICY,
    configuration: ({ url }) => ({ upstreams: { 'docker.io': { url, accounts } } }),
    images: { 'acme/app': image, 'acme/pay-api': image },
  });
  const { hub, hubgate } = mirror;
  for (const username of ['main', 'pay'])
    hub.accounts.push({ username, password: `of ${username}`, repositories: [] });
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
