import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { imageOf } from '../support/image.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = `
allow:
  - { pull: library/**, to: authenticated }
  - { pull: acme/**, to: jin, private: true }
  - { pull: acme/**, to: ana }
  - { pull: bitnami/**, to: jin }
`;

const { hubgate } = await withMirror(
  { after },
  {
    policy: POLICY,
    users: ['ana', 'jin'],
    configuration: { server: { catalog: true } },
    images: {
      'library/alpine': imageOf(),
      'library/busybox': imageOf(),
      'library/nginx': imageOf(),
      'bitnami/redis': imageOf(),
    },
    privateImages: { 'acme/secret': imageOf() },
  },
);
for (const name of ['library/alpine', 'library/busybox', 'library/nginx', 'acme/secret', 'bitnami/redis'])
  assert.equal((await hubgate.ask(`/v2/${name}/manifests/latest`, { user: 'jin' })).status, 200);

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
