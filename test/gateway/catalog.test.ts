import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { TestHubgate } from '../support/test-hubgate.ts';

const POLICY = `
allow:
  - { pull: library/**, to: authenticated }
  - { pull: acme/**, to: jin, private: true }
  - { pull: acme/**, to: ana }
  - { pull: bitnami/**, to: jin }
`;

let hub: FakeHub;
let hubgate: TestHubgate;

before(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: ['acme/secret'] });
  for (const name of ['alpine', 'busybox', 'nginx']) hub.push(`library/${name}`, 'latest', imageOf());
  hub.push('bitnami/redis', 'latest', imageOf());
  hub.push('acme/secret', 'latest', imageOf(), { private: true });
  hubgate = await TestHubgate.start(hub, { policy: POLICY, users: ['ana', 'jin'], catalog: true });
  for (const name of ['library/alpine', 'library/busybox', 'library/nginx', 'acme/secret', 'bitnami/redis']) {
    assert.equal((await hubgate.ask(`/v2/${name}/manifests/latest`, { user: 'jin' })).status, 200);
  }
});

after(async () => {
  await hubgate[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

async function listed(user: string, query = ''): Promise<unknown> {
  const { body } = await hubgate.ask(`/v2/_catalog${query}`, { user });
  return JSON.parse(body.toString()).repositories;
}

test('the catalog lists what the caller may pull, and nothing private for who may not', async () => {
  const open = ['library/alpine', 'library/busybox', 'library/nginx'];
  assert.deepEqual(await listed('ana'), open);
  assert.deepEqual(await listed('jin'), ['acme/secret', 'bitnami/redis', ...open]);
  const byToken = await hubgate.ask('/v2/_catalog', { token: await hubgate.token('ana') });
  assert.deepEqual(JSON.parse(byToken.body.toString()).repositories, open);
});

test('it comes in pages', async () => {
  const page = await hubgate.ask('/v2/_catalog?n=2', { user: 'ana' });
  assert.equal(page.headers.link, '</v2/_catalog?n=2&last=library%2Fbusybox>; rel="next"');
  assert.deepEqual(await listed('ana', '?n=2&last=library%2Fbusybox'), ['library/nginx']);
  assert.equal((await hubgate.ask('/v2/_catalog?last=../x', { user: 'ana' })).status, 400);
});

test('nobody is challenged for it', async () => {
  const refused = await hubgate.ask('/v2/_catalog');
  assert.equal(refused.status, 401);
  assert.match(refused.headers['www-authenticate'] ?? '', /,scope="registry:catalog:\*"$/);
});
