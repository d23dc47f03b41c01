import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { FakeHub } from '../../support/fake-hub.ts';
import {
  digestOf,
  errorOf,
  HostedCore,
  imageOf,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../support/hosted-core.ts';
import { imageOf as imageOfSize } from '../../support/image.ts';
import { ACCOUNT } from '../../support/test-core.ts';

const UPLOADS = 'blobs/uploads/';

test('a blob in one body is there when its push is answered, for its repository alone', async () => {
  await using core = await HostedCore.start();
  const digest = await core.pushBlob('a layer');
  const found = await core.read(`blobs/${digest}`);
  const location = JSON.parse(found.body.toString());
  assert.deepEqual({ ...location, file: '' }, { kind: 'hosted-file', file: '', size: 7 });
  assert.equal(await readFile(`${core.directory}/${location.file}`, 'utf8'), 'a layer');
  assert.equal((await core.read(`blobs/${digest}`, { method: 'HEAD' })).headers['content-length'], '7');
  assert.equal((await core.read(`blobs/${digest}`, { repository: 'acme/other' })).status, 404);
  assert.deepEqual(await readdir(`${core.directory}/uploads`), []);
});

test('a streamed blob needs no length, and a second stream continues the first', async () => {
  await using core = await HostedCore.start();
  const upload = await core.begin();
  const first = await core.write('PATCH', upload, { body: 'first, ', isStreamed: true });
  assert.deepEqual([first.status, first.headers.range], [202, '0-6']);
  const second = await core.write('PATCH', upload, { body: 'second' });
  assert.deepEqual([second.status, second.headers.range], [202, '0-12']);
  const digest = digestOf('first, second');
  assert.equal((await core.write('PUT', `${upload}?digest=${digest}`, { body: '' })).status, 201);
  assert.equal((await core.read(`blobs/${digest}`)).status, 200);
});

test('chunks come in order; the one that does not is refused, and says where to go on', async () => {
  await using core = await HostedCore.start();
  const upload = await core.begin();
  const chunk = (body: string, range: string) =>
    core.write('PATCH', upload, { body, headers: { 'content-range': range } });
  assert.equal((await chunk('cd', '2-3')).status, 416);
  const state = await core.write('GET', upload);
  assert.deepEqual([state.status, state.headers.range], [204, '0-0']);
  assert.equal((await chunk('ab', '0-1')).headers.range, '0-1');
  const again = await chunk('ab', '0-1');
  assert.deepEqual(
    [again.status, again.headers.range, again.headers['hubgate-location'], errorOf(again).code],
    [416, '0-1', upload, 'BLOB_UPLOAD_INVALID'],
  );
  const short = await chunk('c', '2-3');
  assert.deepEqual([short.status, errorOf(short).code], [400, 'SIZE_INVALID']);
  const digest = digestOf('abcd');
  const last = { body: 'cd', headers: { 'content-range': '2-3' } };
  assert.equal((await core.write('PUT', `${upload}?digest=${digest}`, last)).status, 201);
});

test('bytes that are not their digest are refused, and their upload is over', async () => {
  await using core = await HostedCore.start();
  const upload = await core.begin();
  const wrong = await core.write('PUT', `${upload}?digest=${digestOf('other')}`, { body: 'bytes' });
  assert.deepEqual([wrong.status, errorOf(wrong).code], [400, 'DIGEST_INVALID']);
  assert.equal((await core.write('GET', upload)).status, 404);
  assert.equal((await core.read(`blobs/${digestOf('other')}`)).status, 404);
  assert.equal((await core.read(`blobs/${digestOf('bytes')}`)).status, 404);
  const post = await core.write('POST', `${UPLOADS}?digest=${digestOf('other')}`, { body: 'bytes' });
  assert.equal(post.status, 400);
  assert.deepEqual(await readdir(`${core.directory}/uploads`), []);
});

test('a sha512 digest is verified, announced or not, and so is an empty blob', async () => {
  await using core = await HostedCore.start();
  const long = digestOf('long', 'sha512');
  assert.equal((await core.write('POST', `${UPLOADS}?digest=${long}`, { body: 'long' })).status, 201);
  const later = digestOf('later', 'sha512');
  const upload = await core.begin();
  assert.equal((await core.write('PUT', `${upload}?digest=${later}`, { body: 'later' })).status, 201);
  assert.equal((await core.read(`blobs/${later}`)).status, 200);
  const wrong = await core.begin();
  assert.equal((await core.write('PUT', `${wrong}?digest=${later}`, { body: 'sooner' })).status, 400);
  await core.pushBlob('');
});

test('an upload is its subject’s and its repository’s: for all others it does not exist', async () => {
  await using core = await HostedCore.start();
  const upload = await core.begin({ subject: 'user:ana' });
  for (const other of [{ subject: 'user:bo' }, { repository: 'acme/other' }])
    for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
      const answer = await core.write(method, `${upload}?digest=${digestOf('')}`, { body: '', ...other });
      assert.deepEqual([answer.status, errorOf(answer).code], [404, 'BLOB_UPLOAD_UNKNOWN'], method);
    }
  assert.equal((await core.write('GET', `${UPLOADS}..%2fhosted.db`)).status, 404);
  assert.equal((await core.write('DELETE', upload)).status, 204);
  assert.equal((await core.write('GET', upload)).status, 404);
  assert.deepEqual(await readdir(`${core.directory}/uploads`), []);
});

test('a mount links what the other repository has, and otherwise begins an upload', async () => {
  await using core = await HostedCore.start();
  const digest = await core.pushBlob('shared', { repository: 'acme/base' });
  const from = (path: string) => ({ headers: { 'hubgate-mount-from': `hosted ${path} private` }, body: '' });
  const mount = `${UPLOADS}?mount=${digest}`;
  assert.equal((await core.write('POST', mount, from('acme/empty'))).status, 202);
  assert.equal((await core.write('POST', mount, { body: '' })).status, 202);
  assert.equal((await core.read(`blobs/${digest}`)).status, 404);
  const mounted = await core.write('POST', mount, from('acme/base'));
  assert.deepEqual([mounted.status, mounted.headers['hubgate-location']], [201, `blobs/${digest}`]);
  assert.equal((await core.read(`blobs/${digest}`)).status, 200);
});

test('a mount from a mirrored repository copies what the cache has and the caller may read', async () => {
  await using hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: ['acme/secret'] });
  const [open, secret] = [imageOfSize({ size: 5_000 }), imageOfSize({ size: 6_000 })];
  hub.push('library/alpine', '3.20', open);
  hub.push('acme/secret', 'latest', secret, { private: true });
  await using core = await HostedCore.start({}, {}, hub);
  const mount = async (digest: string, from: string) => {
    const headers = { 'hubgate-mount-from': from };
    return (await core.write('POST', `${UPLOADS}?mount=${digest}`, { headers, body: '' })).status;
  };
  const [layer, hidden] = [open.layers[0] ?? '', secret.layers[0] ?? ''];
  assert.equal(await mount(layer, 'docker.io library/alpine public'), 202);
  await core.core.ask('library/alpine/manifests/3.20');
  await core.core.blob(`library/alpine/blobs/${layer}`);
  await core.core.ask('acme/secret/manifests/latest', { grant: 'private' });
  await core.core.blob(`acme/secret/blobs/${hidden}`, 'private');
  hub.takeRequests();
  assert.equal(await mount(layer, 'docker.io library/alpine public'), 201);
  assert.equal(await mount(hidden, 'docker.io library/alpine private'), 202);
  assert.equal(await mount(hidden, 'docker.io acme/secret public'), 202);
  assert.equal(await mount(hidden, 'docker.io acme/secret private'), 201);
  assert.deepEqual(hub.takeRequests(), []);
  assert.equal((await core.read(`blobs/${layer}`)).status, 200);
  // Nobody knows any more whether the repository is public.
  core.core.now += 8 * 24 * 60 * 60_000;
  assert.equal(await mount(layer, 'docker.io library/alpine public'), 202);
});

test('a manifest is served in its own bytes, by its tag and its digest', async () => {
  await using core = await HostedCore.start();
  const manifest = await core.pushImage('1.0', 'layer');
  for (const reference of ['1.0', digestOf(manifest)]) {
    const pulled = await core.read(`manifests/${reference}`);
    assert.equal(pulled.body.toString(), manifest);
    assert.equal(pulled.headers['docker-content-digest'], digestOf(manifest));
    assert.equal(pulled.headers['hubgate-max-age-ms'], undefined);
  }
  assert.equal((await core.read('manifests/1.1')).status, 404);
  assert.equal((await core.read('manifests/1.0', { repository: 'acme/none' })).status, 404);
});

test('what a manifest names must be in its repository', async () => {
  await using core = await HostedCore.start();
  const config = await core.pushBlob('{}');
  const layer = await core.pushBlob('elsewhere', { repository: 'acme/other' });
  const torn = await core.pushManifest('1.0', imageOf(config, layer, 9));
  assert.deepEqual([torn.status, errorOf(torn).code], [400, 'MANIFEST_BLOB_UNKNOWN']);
  assert.match(errorOf(torn).message, new RegExp(layer));
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [{ digest: layer, size: 1 }] };
  assert.equal((await core.pushManifest('1.0', index)).status, 400);
  assert.equal((await core.read('manifests/1.0')).status, 404);
  const subject = { mediaType: OCI_INDEX, digest: layer, size: 1 };
  const referrer = await core.pushManifest('1.0', {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: [],
    subject,
  });
  assert.deepEqual([referrer.status, referrer.headers['oci-subject']], [201, layer]);
  const types = [
    'application/vnd.oci.image.layer.nondistributable.v1.tar',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  ];
  for (const mediaType of types) {
    const layers = [{ mediaType, digest: layer, size: 9, urls: ['https://example.com/x'] }];
    assert.equal((await core.pushManifest('2.0', imageOf(config, layer, 9, { layers }))).status, 201);
  }
  // Only these types are of layers that are elsewhere, and a config never is.
  const similar = 'application/vnd.acme.foreign.v1+json';
  const layers = [{ mediaType: similar, digest: layer, size: 9 }];
  assert.equal((await core.pushManifest('3.0', imageOf(config, layer, 9, { layers }))).status, 400);
  const foreign = { config: { mediaType: types[0], digest: layer, size: 9 }, layers: [] };
  assert.equal((await core.pushManifest('3.0', imageOf(config, layer, 9, foreign))).status, 400);
});

test('a manifest that is none, or not its digest, or too large, is refused', async () => {
  await using core = await HostedCore.start();
  const empty = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
  const put = async (reference: string, body: string, type = OCI_INDEX) => {
    const answer = await core.write('PUT', `manifests/${reference}`, {
      body,
      headers: { 'content-type': type },
    });
    return [answer.status, answer.status < 300 ? '' : errorOf(answer).code];
  };
  assert.deepEqual(await put('a', 'no json'), [400, 'MANIFEST_INVALID']);
  assert.deepEqual(await put('a', empty, 'text/html'), [400, 'MANIFEST_INVALID']);
  const why = async (body: string) => {
    const answer = await core.write('PUT', 'manifests/a', { body, headers: { 'content-type': OCI_INDEX } });
    return [answer.status, errorOf(answer).message];
  };
  const deep = empty.replace('}', `,"a":${'['.repeat(40)}${']'.repeat(40)}}`);
  assert.deepEqual(await why(deep), [400, 'the manifest is nested deeper than 32 levels']);
  const both = empty.replace('}', ',"layers":[]}');
  assert.deepEqual(await why(both), [400, 'the manifest is an index and an image at once']);
  const other = empty.replace(OCI_INDEX, OCI_MANIFEST);
  assert.deepEqual(await why(other), [400, 'the manifest is of another mediaType than its Content-Type']);
  const withType = (type: string) => empty.replace('}', `,"artifactType":${JSON.stringify(type)}}`);
  assert.deepEqual(await put('a', withType('application/a\0b')), [400, 'MANIFEST_INVALID']);
  assert.deepEqual(await put(digestOf('other'), empty), [400, 'DIGEST_INVALID']);
  assert.deepEqual(await put(digestOf(empty, 'sha512'), empty), [201, '']);
  const padded = (size: number) => empty.replace('}', `,"annotations":{"a":"${'x'.repeat(size)}"}}`);
  assert.deepEqual(await put('a', padded(4 * 1024 * 1024)), [413, 'MANIFEST_INVALID']);
  assert.deepEqual(await put('a', padded(3_900_000)), [201, '']);
});
