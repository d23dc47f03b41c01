/** Pushes to hosted repositories through all three roles: who may, and what comes of it. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { readAuditLog } from '../support/audit-log.ts';
import type { TestResponse } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import type { Caller } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = `allow:
  - { id: ci, push: acme-internal/app/**, to: cid }
  - { id: dev, pull: acme-internal/**, to: [cid, pia] }
  - { id: base, push: base/**, to: bea }
  - { id: release, delete: acme-internal/**, to: dee }
  - { id: look, pull: acme-internal/**, to: dee }
  - { id: hub, pull: everything, to: [authenticated, anonymous] }
deny:
  - { id: freeze, push: acme-internal/**, tags: "v*", to: authenticated, because: "release freeze, ask #rel" }`;
const USERS = ['cid', 'pia', 'bea', 'dee', 'zoe'];
const APP = '/v2/acme-internal/app/api';

const { hub, hubgate } = await withMirror(
  { after },
  {
    policy: POLICY,
    users: USERS,
    configuration: {
      hosted: {
        namespaces: { 'acme-internal/**': { immutableTags: ['fixed-*'] }, 'base/**': { quota: '200KiB' } },
      },
    },
  },
);

function digestOf(bytes: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

interface SentBody extends Caller {
  readonly body?: string | Uint8Array;
}

function send(target: string, { body, ...caller }: SentBody): Promise<TestResponse> {
  return hubgate.ask(target, { ...caller, ...(body !== undefined && { send: body }) });
}

function locationOf({ headers }: TestResponse): string {
  return String(headers.location);
}

/** Uploads a blob as docker does: POST, PATCH, PUT. */
async function uploadBlob(repository: string, bytes: Uint8Array, user: string): Promise<string> {
  const digest = digestOf(bytes);
  const begun = await send(`/v2/${repository}/blobs/uploads/`, { method: 'POST', user });
  assert.equal(begun.status, 202, begun.body.toString());
  assert.match(locationOf(begun), new RegExp(`^/v2/${repository}/blobs/uploads/[0-9a-f]{32}$`));
  const patched = await send(locationOf(begun), { method: 'PATCH', user, body: bytes });
  assert.equal(patched.status, 202, patched.body.toString());
  assert.equal(patched.headers.range, `0-${bytes.length - 1}`);
  const done = await send(`${locationOf(patched)}?digest=${encodeURIComponent(digest)}`, {
    method: 'PUT',
    user,
  });
  assert.equal(done.status, 201, done.body.toString());
  assert.equal(locationOf(done), `/v2/${repository}/blobs/${digest}`);
  return digest;
}

function manifestOf(config: string, layer: string, size: number): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer, size }],
  });
}

const MANIFEST_TYPE = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };

async function pushImage(
  repository: string,
  tag: string,
  user: string,
): Promise<{ manifest: string; layer: string }> {
  const layer = randomBytes(1000);
  const config = await uploadBlob(repository, Buffer.from('{}'), user);
  const digest = await uploadBlob(repository, layer, user);
  const manifest = manifestOf(config, digest, layer.length);
  const put = await send(`/v2/${repository}/manifests/${tag}`, {
    ...{ method: 'PUT', user, body: manifest, headers: MANIFEST_TYPE },
  });
  assert.equal(put.status, 201, put.body.toString());
  assert.equal(locationOf(put), `/v2/${repository}/manifests/${digestOf(manifest)}`);
  return { manifest: digestOf(manifest), layer: digest };
}

interface Line {
  readonly action: string;
  readonly repository?: string;
  readonly tag?: string;
  readonly digest?: string;
  readonly upload?: string;
  readonly status: number;
  readonly decision: string;
  readonly method: string;
  readonly rule?: string;
  readonly size?: number;
  readonly from?: string;
  readonly previous?: string;
  readonly push?: string;
}

function lines(): Promise<Line[]> {
  return readAuditLog(hubgate.auditFile);
}

test('what is pushed can be pulled by those who may, and by nobody else', async () => {
  const { manifest, layer } = await pushImage('acme-internal/app/api', 'one', 'cid');
  for (const reference of ['one', manifest]) {
    const pulled = await send(`${APP}/manifests/${reference}`, { user: 'pia' });
    assert.equal(pulled.status, 200);
    assert.equal(digestOf(pulled.body), manifest);
  }
  const blob = await send(`${APP}/blobs/${layer}`, { user: 'pia' });
  assert.equal(digestOf(blob.body), layer);
  assert.equal(blob.headers['content-type'], 'application/octet-stream');
  assert.equal(blob.headers['x-content-type-options'], 'nosniff');
  const tags = await send(`${APP}/tags/list`, { user: 'pia' });
  assert.ok(JSON.parse(tags.body.toString()).tags.includes('one'));
  for (const user of ['zoe', 'bea'])
    assert.equal((await send(`${APP}/manifests/one`, { user })).status, 403, user);
  assert.equal((await send(`${APP}/manifests/one`, {})).status, 401);
});

test('a write is refused before anything is looked up, whether it exists or not', async () => {
  const digest = digestOf('x');
  const writes: [method: string, target: string][] = [
    ['POST', '/blobs/uploads/'],
    ['PATCH', `/blobs/uploads/${'0'.repeat(32)}`],
    ['PUT', `/blobs/uploads/${'0'.repeat(32)}?digest=${digest}`],
    ['GET', `/blobs/uploads/${'0'.repeat(32)}`],
    ['DELETE', `/blobs/uploads/${'0'.repeat(32)}`],
    ['PUT', '/manifests/one'],
    ['PUT', `/manifests/${digest}`],
  ];
  for (const [method, target] of writes) {
    const answers = await Promise.all(
      [APP, '/v2/acme-internal/app/nothing'].map((name) => send(name + target, { method, user: 'zoe' })),
    );
    const [there, missing] = answers.map(({ status, body }) => [status, body.toString()]);
    assert.deepEqual(there, missing);
    assert.equal(there?.[0], 403, `${method} ${target}`);
    // docker tries again after an error with the standard message of its code.
    assert.match(String(there?.[1]), /you may not push to this repository/);
    const anonymous = await send(APP + target, { method });
    assert.equal(anonymous.status, 401);
    assert.match(
      String(anonymous.headers['www-authenticate']),
      /scope="repository:acme-internal\/app\/api:pull,push"/,
      `${method} ${target}`,
    );
  }
  for (const target of ['/manifests/one', `/manifests/${digest}`, `/blobs/${digest}`]) {
    assert.equal((await send(APP + target, { method: 'DELETE', user: 'cid' })).status, 403, target);
    const anonymous = await send(APP + target, { method: 'DELETE' });
    const challenge = String(anonymous.headers['www-authenticate']);
    assert.match(challenge, /scope="repository:acme-internal\/app\/api:delete"/);
  }
});

test('a token is for the actions that it was issued for', async () => {
  const scope = (actions: string) => `repository:acme-internal/app/api:${actions}`;
  const pulling = await hubgate.scopedToken('cid', scope('pull'));
  const refused = await send(`${APP}/blobs/uploads/`, { method: 'POST', token: pulling });
  assert.equal(refused.status, 401);
  const challenge = String(refused.headers['www-authenticate']);
  assert.match(challenge, /scope="repository:acme-internal\/app\/api:pull,push",error="insufficient_scope"/);
  const pushing = await hubgate.scopedToken('cid', scope('pull'), scope('pull,push'));
  assert.equal((await send(`${APP}/blobs/uploads/`, { method: 'POST', token: pushing })).status, 202);
  assert.equal((await send(`${APP}/manifests/one`, { method: 'DELETE', token: pushing })).status, 403);
  const all = await hubgate.ask(`/token?service=x&scope=${scope('*')}&scope=${scope('pull')}`, {
    user: 'dee',
  });
  assert.equal(JSON.parse(all.body.toString()).scope, scope('pull,delete'));
  const nothing = await hubgate.ask(`/token?service=x&scope=${scope('pull,push')}`, {});
  assert.equal(JSON.parse(nothing.body.toString()).scope, '');
});

test('a tag that a rule refuses is not written, and the reason reaches the client', async () => {
  const { manifest } = await pushImage('acme-internal/app/frozen', 'w1', 'cid');
  const content = await send('/v2/acme-internal/app/frozen/manifests/w1', { user: 'cid' });
  const put = (reference: string) =>
    send(`/v2/acme-internal/app/frozen/manifests/${reference}`, {
      ...{ method: 'PUT', user: 'cid', body: content.body, headers: MANIFEST_TYPE },
    });
  for (const reference of ['v1', `${manifest}?tag=w2&tag=v2`]) {
    const refused = await put(reference);
    assert.equal(refused.status, 403, reference);
    assert.match(refused.body.toString(), /release freeze, ask #rel/);
  }
  const both = await put(`${manifest}?tag=w2&tag=w3`);
  assert.equal(both.status, 201);
  assert.deepEqual(both.headers['oci-tag'], 'w2, w3');
  const { tags } = JSON.parse(
    (await send('/v2/acme-internal/app/frozen/tags/list', { user: 'cid' })).body.toString(),
  );
  assert.deepEqual(tags, ['w1', 'w2', 'w3']);
});

test('a manifest cannot be deleted by its digest by somebody who may not delete all of its tags', async () => {
  const remove = (reference: string) =>
    send(`/v2/acme-internal/app/kept/manifests/${reference}`, { method: 'DELETE', user: 'dee' });
  const { manifest } = await pushImage('acme-internal/app/kept', 'keep-1', 'cid');
  await hubgate.setPolicy(`${POLICY}
  - { id: keep, delete: acme-internal/**, tags: "keep-*", to: authenticated }`);
  await waitFor(async () => (await remove('keep-none')).status === 403);
  assert.equal((await remove('keep-1')).status, 403);
  assert.equal((await remove(manifest)).status, 403);
  const pull = (reference: string) =>
    send(`/v2/acme-internal/app/kept/manifests/${reference}`, { user: 'cid' });
  assert.equal((await pull('keep-1')).status, 200);
  await hubgate.setPolicy(POLICY);
  await waitFor(async () => (await remove('keep-none')).status === 404);
  assert.equal((await remove(manifest)).status, 202);
  assert.equal((await pull(manifest)).status, 404);
});

test('a blob is mounted only from a repository that the caller may pull', async () => {
  const { layer } = await pushImage('base/os', '1', 'bea');
  const mount = (name: string) =>
    `/v2/acme-internal/app/mounted/blobs/uploads/?mount=${encodeURIComponent(layer)}&from=${encodeURIComponent(name)}`;
  // cid may not pull base/os, so the answer is that of a blob that is not there.
  const foreign = await send(mount('base/os'), { method: 'POST', user: 'cid' });
  const missing = await send(mount('base/nothing'), { method: 'POST', user: 'cid' });
  for (const answer of [foreign, missing]) {
    assert.equal(answer.status, 202);
    const names = Object.keys(answer.headers).sort();
    assert.deepEqual(names, Object.keys(foreign.headers).sort());
    assert.match(locationOf(answer), /^\/v2\/acme-internal\/app\/mounted\/blobs\/uploads\/[0-9a-f]{32}$/);
  }
  const anonymous = await send(mount('base/os'), { method: 'POST' });
  assert.equal(anonymous.status, 401);
  const challenge = String(anonymous.headers['www-authenticate']);
  assert.match(challenge, /scope="repository:acme-internal\/app\/mounted:pull,push"$/);
  const own = await pushImage('acme-internal/app/source', '1', 'cid');
  const url = `/v2/acme-internal/app/mounted/blobs/uploads/?mount=${own.layer}&from=acme-internal/app/source`;
  const mounted = await send(url, { method: 'POST', user: 'cid' });
  assert.equal(mounted.status, 201);
  assert.equal(locationOf(mounted), `/v2/acme-internal/app/mounted/blobs/${own.layer}`);
  // Clients ask for a token for the target alone.
  const token = await hubgate.scopedToken('cid', 'repository:acme-internal/app/mounted:pull,push');
  assert.equal((await send(url, { method: 'POST', token })).status, 201);
  const mounts = async () => (await lines()).filter(({ action }) => action === 'mount');
  await waitFor(async () => (await mounts()).length > 0);
  const [line] = await mounts();
  assert.equal(line?.from, 'hosted/acme-internal/app/source');
  assert.equal(line?.digest, own.layer);
});

test('an upload belongs to its subject', async () => {
  await hubgate.setPolicy(`${POLICY.replace('to: cid }', 'to: [cid, pia] }')}`);
  await waitFor(
    async () => (await send(`${APP}/blobs/uploads/`, { method: 'POST', user: 'pia' })).status === 202,
  );
  const begun = await send(`${APP}/blobs/uploads/`, { method: 'POST', user: 'cid' });
  for (const method of ['GET', 'PATCH', 'DELETE'])
    assert.equal((await send(locationOf(begun), { method, user: 'pia' })).status, 404, method);
  assert.equal((await send(locationOf(begun), { method: 'GET', user: 'cid' })).status, 204);
  assert.equal((await send(locationOf(begun), { method: 'DELETE', user: 'cid' })).status, 204);
  assert.equal((await send(locationOf(begun), { method: 'GET', user: 'cid' })).status, 404);
  await hubgate.setPolicy(POLICY);
  await waitFor(
    async () => (await send(`${APP}/blobs/uploads/`, { method: 'POST', user: 'pia' })).status !== 202,
  );
});

test('a hosted name asks no upstream, and Docker Hub’s repository of that name is another one', async () => {
  hub.push('acme-internal/app', 'latest', imageOf());
  hub.takeRequests();
  for (const target of ['/manifests/latest', '/tags/list', `/blobs/${digestOf('x')}`]) {
    const missing = await send(`/v2/acme-internal/app${target}`, { user: 'pia' });
    assert.equal(missing.status, 404, target);
  }
  assert.deepEqual(hub.takeRequests(), []);
  const mirrored = await send('/v2/docker.io/acme-internal/app/manifests/latest', { user: 'zoe' });
  assert.equal(mirrored.status, 200);
  const beside = await send('/v2/acme-internal/app/manifests/latest?ns=docker.io', { user: 'zoe' });
  assert.equal(beside.status, 200);
});

test('a mirrored name takes no push, in whichever form', async () => {
  for (const name of [
    '/v2/library/alpine',
    '/v2/docker.io/acme-internal/app',
    '/docker.io/v2/acme-internal/app',
  ]) {
    for (const [method, target] of [
      ['POST', '/blobs/uploads/'],
      ['PUT', '/manifests/latest'],
      ['DELETE', '/manifests/latest'],
    ]) {
      const refused = await send(name + target, { method: method ?? '', user: 'cid' });
      assert.equal(refused.status, 405, `${method} ${name}${target}`);
      const [{ code, message }] = JSON.parse(refused.body.toString()).errors;
      assert.equal(code, 'UNSUPPORTED');
      assert.match(
        message,
        /^this name is mirrored, .*; push to its own registry, or to acme-internal\/\*\*$/,
      );
    }
  }
});

test('a push to a mirrored name names the namespaces to which its caller may push, and no other', async () => {
  hub.takeRequests();
  const words = async (caller: Caller, method = 'POST', target = '/v2/library/alpine/blobs/uploads/') => {
    const refused = await send(target, { method, ...caller });
    assert.equal(refused.status, 405);
    assert.equal(refused.headers.allow, 'GET, HEAD');
    return JSON.parse(refused.body.toString()).errors[0].message;
  };
  const mirrored = 'this name is mirrored, and serves pulls only; push to its own registry, or to';
  const nowhere = `${mirrored} a name that is hosted here`;
  assert.equal(await words({ user: 'cid' }), `${mirrored} acme-internal/**`);
  assert.equal(await words({ user: 'bea' }), `${mirrored} base/**`);
  const put = await words({ user: 'cid' }, 'PUT', '/v2/library/alpine/manifests/1');
  assert.equal(put, await words({ user: 'cid' }));
  const token = await hubgate.scopedToken('cid', 'repository:library/alpine:pull,push');
  assert.equal(await words({ token }), await words({ user: 'cid' }));
  // Who may only pull or delete there, or nothing at all, learns no name.
  for (const user of ['pia', 'dee', 'zoe']) assert.equal(await words({ user }), nowhere, user);
  for (const caller of [{}, { user: 'cid', password: 'wrong' }, { token: 'x' }])
    assert.equal(await words(caller), nowhere);
  const restricted = await hubgate.giveToken('cid', { pull: ['docker.io/library/*'] });
  assert.equal(await words({ user: 'cid', password: restricted.text }), nowhere);
  assert.deepEqual(hub.takeRequests(), []);
});

test('a target of a hosted repository says which methods it has', async () => {
  const cases = [
    ['POST', '/manifests/one', 'GET, HEAD, PUT, DELETE'],
    ['PUT', `/blobs/${digestOf('x')}`, 'GET, HEAD, DELETE'],
    ['GET', '/blobs/uploads/', 'POST'],
    ['POST', '/tags/list', 'GET, HEAD'],
    ['POST', `/blobs/uploads/${'0'.repeat(32)}`, 'GET, PATCH, PUT, DELETE'],
  ];
  for (const [method = '', target, allow] of cases) {
    const refused = await send(`${APP}${target}`, { method, user: 'cid' });
    assert.equal(refused.status, 405, `${method} ${target}`);
    assert.equal(refused.headers.allow, allow);
    assert.doesNotMatch(refused.body.toString(), /mirror/);
  }
  const options = await send(APP, { method: 'OPTIONS' });
  assert.equal(options.headers.allow, 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
});

test('the record has a line for the beginning and for the end of an upload, and none for a chunk', async () => {
  const { manifest } = await pushImage('acme-internal/app/record', 'one', 'cid');
  const again = await pushImage('acme-internal/app/record', 'one', 'cid');
  await send('/v2/acme-internal/app/record/manifests/one', { method: 'DELETE', user: 'dee' });
  const recorded = async () =>
    (await lines()).filter(({ repository }) => repository === 'hosted/acme-internal/app/record');
  await waitFor(async () => (await recorded()).some(({ action }) => action === 'delete'));
  const own = await recorded();
  assert.ok(own.every(({ method }) => method !== 'PATCH'));
  const begun = own.filter(({ method }) => method === 'POST');
  const done = own.filter(({ method, upload }) => method === 'PUT' && upload !== undefined);
  assert.deepEqual(
    begun.map(({ upload }) => upload),
    done.map(({ upload }) => upload),
  );
  assert.ok(done.every(({ digest }) => digest !== undefined));
  // The layers have 1000 bytes, which came in a chunk; the request that ends an upload has no body.
  assert.deepEqual(
    done.map(({ size }) => size),
    [2, 1000, 2, 1000],
  );
  const tagged = own.filter(({ tag }) => tag === 'one');
  assert.deepEqual(
    tagged.map(({ action, digest, previous, rule, status }) => [action, digest, previous, rule, status]),
    [
      ['push', manifest, undefined, 'ci', 201],
      ['push', again.manifest, manifest, 'ci', 201],
      ['delete', undefined, again.manifest, 'release', 202],
    ],
  );
});

test('all requests of one push share an id, and the next push has another one', async () => {
  for (let times = 0; times < 2; times++) await pushImage('acme-internal/app/joined', 'one', 'cid');
  // A refused tag ends its push too.
  for (const tag of ['two', 'three'])
    await send(`/v2/acme-internal/app/joined/manifests/${tag}`, {
      ...{ method: 'PUT', user: 'cid', body: 'no manifest', headers: MANIFEST_TYPE },
    });
  await send('/v2/acme-internal/app/joined/manifests/one', { method: 'DELETE', user: 'dee' });
  await send('/v2/acme-internal/app/joined/blobs/uploads/', { method: 'POST', user: 'zoe' });
  const recorded = async () =>
    (await lines()).filter(({ repository }) => repository === 'hosted/acme-internal/app/joined');
  await waitFor(async () => (await recorded()).some(({ decision }) => decision === 'deny'));
  const own = await recorded();
  const pushes = Map.groupBy(own, ({ push }) => push);
  const sizes = [...pushes].map(([id, of]) => [id === undefined, of.length]);
  // An image is two uploads with two lines each, and a manifest. What deletes, and what is refused, is no
  // push.
  assert.deepEqual(sizes, [
    [false, 5],
    [false, 5],
    [false, 1],
    [false, 1],
    [true, 2],
  ]);
  const manifest = own.find(({ tag }) => tag === 'one');
  assert.ok((manifest?.size ?? 0) > 300, String(manifest?.size));
});

test('a refusal of the core reaches the client with its words', async () => {
  const { manifest } = await pushImage('acme-internal/app/fixed', 'fixed-1', 'cid');
  const config = await uploadBlob('acme-internal/app/fixed', Buffer.from('{}'), 'cid');
  const other = await uploadBlob('acme-internal/app/fixed', randomBytes(100), 'cid');
  const moved = await send('/v2/acme-internal/app/fixed/manifests/fixed-1', {
    ...{ method: 'PUT', user: 'cid', body: manifestOf(config, other, 100), headers: MANIFEST_TYPE },
  });
  assert.equal(moved.status, 409);
  const [error] = JSON.parse(moved.body.toString()).errors;
  assert.equal(error.code, 'DENIED');
  assert.match(error.message, new RegExp(`immutable.*${manifest}`));
});
