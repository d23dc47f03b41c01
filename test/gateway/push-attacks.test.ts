/**
 * What an attacker would try with pushes, as far as no other file has it. Of the others:
 *
 * - dependency confusion, a mount of what the caller may not pull, a stolen token for pulls, a refusal that
 *   depends on what exists, tags by replay: `push.test.ts`;
 * - the right is withdrawn in the middle of a body: `upload.test.ts`; slow bodies: `body-deadlines.test.ts`;
 * - floods of uploads, tags and referrers, and a full disk: `core/hosted/limits.test.ts`;
 * - manifests that name foreign digests, are too large, too deep or of another type, or are an index and an
 *   image at once: `core/hosted/push.test.ts`; races for a tag: `core/hosted/tags.test.ts`;
 * - ids of uploads that are paths: `registry/hosted-names.test.ts`.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:https';
import { after, test } from 'node:test';
import { imageOf } from '../support/image.ts';
import type { Caller } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = `allow:
  - { id: ci, push: [acme/**, base/**], to: cid }
  - { id: other, push: base/**, to: [bea, leo] }
  - { id: secret, pull: corp/secret, to: cid, private: true }
  - { id: hub, pull: everything, to: [authenticated, anonymous] }`;
const INDEX = 'application/vnd.oci.image.index.v1+json';
const SECRET = imageOf({ size: 6_000 });
const OPEN = imageOf({ size: 5_000 });

const { hub, hubgate } = await withMirror(
  { after },
  {
    policy: POLICY,
    images: { 'library/open': OPEN },
    privateImages: { 'corp/secret': SECRET },
    users: ['cid', 'bea', 'leo', 'zoe'],
    configuration: { hosted: { namespaces: { 'acme/**': {}, 'base/**': {} } } },
  },
);

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

async function pushBlob(repository: string, bytes: Uint8Array, caller: Caller): Promise<string> {
  const digest = digestOf(bytes);
  const target = `/v2/${repository}/blobs/uploads/?digest=${digest}`;
  const pushed = await hubgate.ask(target, { method: 'POST', send: bytes, ...caller });
  assert.equal(pushed.status, 201, pushed.body.toString());
  return digest;
}

function putManifest(repository: string, reference: string, send: string, type = INDEX) {
  return hubgate.ask(`/v2/${repository}/manifests/${reference}`, {
    ...{ method: 'PUT', user: 'cid', send, headers: { 'content-type': type } },
  });
}

const FORMS = ['/v2/acme/app', '/v2/acme/deep/er/app'];

test('dependency confusion: a hosted name is never Docker Hub’s, whoever has registered it there', async () => {
  for (const name of ['acme/app', 'acme/deep/er/app']) hub.push(name, 'latest', imageOf());
  hub.takeRequests();
  const digest = digestOf(randomBytes(8));
  for (const form of FORMS) {
    for (const target of ['manifests/latest', `manifests/${digest}`, `blobs/${digest}`, 'tags/list'])
      for (const method of ['GET', 'HEAD'])
        for (const user of ['cid', 'zoe', undefined]) {
          const { status } = await hubgate.ask(`${form}/${target}`, { method, ...(user && { user }) });
          assert.ok(status > 400 && status < 405, `${status} ${method} ${form}/${target} ${user}`);
        }
    const referrers = await hubgate.ask(`${form}/referrers/${digest}`, { user: 'cid' });
    assert.deepEqual(JSON.parse(referrers.body.toString()).manifests, []);
  }
  // Nor is Docker Hub asked for anything that a push names.
  const child = { mediaType: INDEX, digest, size: 2 };
  const index = { schemaVersion: 2, mediaType: INDEX, manifests: [child] };
  const torn = await putManifest('acme/app', 'latest', JSON.stringify(index));
  assert.equal(torn.status, 400);
  for (const from of ['acme/deep/er/app', 'base/nothing']) {
    const mount = `/v2/acme/app/blobs/uploads/?mount=${digest}&from=${from}`;
    assert.equal((await hubgate.ask(mount, { method: 'POST', user: 'cid' })).status, 202);
  }
  assert.equal(
    (await hubgate.ask('/v2/acme/app/manifests/1', { method: 'DELETE', user: 'cid' })).status,
    403,
  );
  assert.deepEqual(hub.takeRequests(), []);
});

test('dependency confusion: what is pushed is served for no name of Docker Hub’s', async () => {
  const blob = await pushBlob('acme/private-app', randomBytes(100), { user: 'cid' });
  for (const name of ['/v2/docker.io/acme/private-app', '/docker.io/v2/acme/private-app']) {
    const { status } = await hubgate.ask(`${name}/blobs/${blob}`, { user: 'cid' });
    assert.equal(status, 404, name);
  }
  const beside = await hubgate.ask(`/v2/acme/private-app/blobs/${blob}?ns=docker.io`, { user: 'cid' });
  assert.equal(beside.status, 404);
  // Nor does a push to Docker Hub's name end in the hosted repository.
  const sent = { method: 'POST', user: 'cid', send: 'x' };
  for (const target of ['/v2/docker.io/acme/app/blobs/uploads/', '/v2/acme/app/blobs/uploads/?ns=docker.io'])
    assert.equal((await hubgate.ask(target, sent)).status, 405, target);
});

test('a mount asks for the right to pull of the credential, and not only of its user', async () => {
  const layer = await pushBlob('base/os', randomBytes(1000), { user: 'cid' });
  const target = `/v2/acme/mounted/blobs/uploads/?mount=${layer}&from=base/os`;
  const { text } = await hubgate.giveToken('cid', { push: ['hosted/acme/mounted'] });
  const restricted = await hubgate.ask(target, { method: 'POST', user: 'cid', password: text });
  assert.equal(restricted.status, 202);
  assert.equal((await hubgate.ask(`/v2/acme/mounted/blobs/${layer}`, { user: 'cid' })).status, 404);
  const both = await hubgate.giveToken('cid', { push: ['hosted/acme/mounted'], pull: ['hosted/base/os'] });
  const wider = await hubgate.ask(target, { method: 'POST', user: 'cid', password: both.text });
  assert.equal(wider.status, 201);
  // Its token from /token is restricted in the same way.
  const scope = 'scope=repository:acme/mounted2:pull,push';
  const issued = await hubgate.ask(`/token?service=x&${scope}`, { user: 'cid', password: text });
  assert.equal(JSON.parse(issued.body.toString()).scope, '');
});

test('a mount from a mirrored repository needs the same right as a pull of it, and asks no upstream', async () => {
  const [open, secret] = [OPEN.layers[0] ?? '', SECRET.layers[0] ?? ''];
  for (const [name, layer] of [
    ['library/open', open],
    ['corp/secret', secret],
  ] as const)
    for (const resource of ['manifests/latest', `blobs/${layer}`])
      assert.equal((await hubgate.ask(`/v2/${name}/${resource}`, { user: 'cid' })).status, 200);
  hub.takeRequests();
  const mount = async (user: string, digest: string, from: string) => {
    const target = `/v2/base/${user}/blobs/uploads/?mount=${digest}&from=${from}`;
    const { status, headers } = await hubgate.ask(target, { method: 'POST', user });
    if (status === 202) await hubgate.ask(String(headers.location), { method: 'DELETE', user });
    return { status, names: Object.keys(headers).toSorted() };
  };
  // The cache has a blob some time after it has sent it.
  for (const [digest, from] of [
    [open, 'library/open'],
    [secret, 'corp/secret'],
  ] as const)
    await waitFor(async () => (await mount('cid', digest, from)).status === 201);
  const missing = await mount('bea', digestOf(randomBytes(8)), 'corp/secret');
  assert.equal(missing.status, 202);
  // Only a rule with `private: true` reaches it, and bea has none.
  assert.deepEqual(await mount('bea', secret, 'corp/secret'), missing);
  assert.deepEqual(await mount('bea', secret, 'library/open'), missing);
  assert.equal((await mount('bea', open, 'library/open')).status, 201);
  assert.deepEqual(hub.takeRequests(), []);
});

test('a push with a token, and one that is refused without any, cost auth nothing', async () => {
  const token = await hubgate.scopedToken('cid', 'repository:acme/app:pull,push');
  await hubgate.stopAuth();
  try {
    const bytes = randomBytes(1000);
    const target = `/v2/acme/app/blobs/uploads/?digest=${digestOf(bytes)}`;
    assert.equal((await hubgate.ask(target, { method: 'POST', send: bytes, token })).status, 201);
    assert.equal((await hubgate.ask(target, { method: 'POST', send: bytes })).status, 401);
  } finally {
    await hubgate.restartAuth();
  }
});

test('a browser takes nothing that was pushed for a page', async () => {
  const page = '<script>alert(1)</script>';
  const blob = await pushBlob('acme/page', Buffer.from(page), { user: 'cid' });
  for (const type of ['text/html', 'image/svg+xml', 'application/javascript'])
    assert.equal((await putManifest('acme/page', 'latest', page, type)).status, 400);
  const index = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [], annotations: { page } });
  assert.equal((await putManifest('acme/page', 'latest', index)).status, 201);
  for (const [resource, type] of [
    [`blobs/${blob}`, 'application/octet-stream'],
    ['manifests/latest', INDEX],
    [`manifests/${digestOf(Buffer.from(index))}`, INDEX],
    [`referrers/${blob}`, INDEX],
    ['tags/list', 'application/json'],
    ['manifests/none', 'application/json'],
  ] as const) {
    const { headers } = await hubgate.ask(`/v2/acme/page/${resource}`, { user: 'cid' });
    assert.equal(headers['content-type'], type, resource);
    assert.equal(headers['x-content-type-options'], 'nosniff', resource);
  }
});

test('a push that a limited token may not do is refused with that reason, which the audit log has too', async () => {
  const { text } = await hubgate.giveToken('cid', { push: ['hosted/acme/limited'] });
  const sent = { method: 'POST', user: 'cid', password: text };
  const refused = await hubgate.ask('/v2/acme/beyond/blobs/uploads/', sent);
  assert.equal(refused.status, 403);
  assert.match(refused.body.toString(), /the token is limited, and does not allow this/);
  // A token that is limited to pulls pushes nowhere.
  const pulling = await hubgate.giveToken('cid', { pull: ['hosted/acme/limited'] });
  const stolen = { method: 'POST', user: 'cid', password: pulling.text };
  assert.equal((await hubgate.ask('/v2/acme/limited/blobs/uploads/', stolen)).status, 403);
  const own = async () =>
    (await hubgate.audit()).filter(({ repository }) => repository === 'hosted/acme/beyond');
  await waitFor(async () => (await own()).length > 0);
  assert.equal((await own())[0]?.reason, 'the token is limited, and does not allow this');
});

test('a mount without a source begins an upload, also of a blob that is there', async () => {
  const layer = await pushBlob('base/os', randomBytes(1000), { user: 'cid' });
  for (const digest of [layer, digestOf(randomBytes(8))]) {
    const target = `/v2/base/os/blobs/uploads/?mount=${digest}`;
    assert.equal((await hubgate.ask(target, { method: 'POST', user: 'cid' })).status, 202);
  }
});

test('nobody learns from an upload which bytes another repository has', async () => {
  const bytes = randomBytes(1000);
  const known = await pushBlob('acme/secret', bytes, { user: 'cid' });
  const unknown = digestOf(randomBytes(1000));
  const answers = [];
  for (const digest of [known, unknown]) {
    const begun = await hubgate.ask('/v2/base/guess/blobs/uploads/', { method: 'POST', user: 'bea' });
    const put = await hubgate.ask(`${begun.headers.location}?digest=${digest}`, {
      method: 'PUT',
      user: 'bea',
    });
    const head = await hubgate.ask(`/v2/base/guess/blobs/${digest}`, { method: 'HEAD', user: 'bea' });
    const names = Object.keys(put.headers).sort().join();
    answers.push([put.status, names, put.body.toString().replaceAll(digest, ''), head.status]);
  }
  assert.deepEqual(answers[0], answers[1]);
  assert.deepEqual([answers[0]?.[0], answers[0]?.[3]], [400, 404]);
});

test('the upload of a service token that is revoked ends, and nothing of it is published', async () => {
  const { id, text } = await hubgate.giveToken('cid', { push: ['hosted/acme/app'] });
  const bytes = randomBytes(2_000_000);
  const digest = digestOf(bytes);
  const begun = await hubgate.ask('/v2/acme/app/blobs/uploads/', {
    ...{ method: 'POST', user: 'cid', password: text },
  });
  const location = String(begun.headers.location);
  const sent = request({
    ...{ host: 'localhost', port: hubgate.port, ca: hubgate.ca, agent: false },
    ...{ path: `${location}?digest=${digest}`, method: 'PUT', auth: `cid:${text}` },
    headers: { 'content-length': String(bytes.length) },
  });
  sent.on('error', () => {});
  const answer = Promise.withResolvers<number | undefined>();
  sent.once('response', (response) => {
    response.resume().on('error', () => {});
    answer.resolve(response.statusCode);
  });
  sent.write(bytes.subarray(0, 1_500_000));
  await waitFor(async () => (await hubgate.ask(location, { user: 'cid' })).headers.range !== '0-0');
  await using state = hubgate.openState();
  await state.removeToken(id);
  assert.equal(await answer.promise, 403);
  sent.end(bytes.subarray(1_500_000));
  assert.equal((await hubgate.ask(`/v2/acme/app/blobs/${digest}`, { user: 'cid' })).status, 404);
});

test('a tag that was moved back by an old manifest says so in its history and in the audit log', async () => {
  const index = (text: string) =>
    JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [], annotations: { text } });
  const put = (text: string) => putManifest('acme/replayed', 'latest', index(text));
  for (const text of ['old', 'new', 'old']) assert.equal((await put(text)).status, 201);
  const own = async () =>
    (await hubgate.audit()).filter(({ repository }) => repository === 'hosted/acme/replayed');
  await waitFor(async () => (await own()).length === 3);
  const [older, newer] = ['old', 'new'].map((text) => digestOf(Buffer.from(index(text))));
  assert.deepEqual(
    (await own()).map(({ digest, previous }) => [digest, previous]),
    [
      [older, undefined],
      [newer, older],
      [older, newer],
    ],
  );
});
