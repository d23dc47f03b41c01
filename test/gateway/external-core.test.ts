import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, test } from 'node:test';
import { assertBytes } from '../support/assert-bytes.ts';
import { sendBytes } from '../support/fault.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { type LocalServer, serveLocally } from '../support/local-server.ts';
import type { TestHubgate } from '../support/test-hubgate.ts';
import { withMirror } from '../support/with-mirror.ts';

const USER = { user: 'ana' };
const POLICY = 'allow: [{ pull: library/**, to: authenticated }]';

let registry: LocalServer;
let asked: IncomingMessage[];
let hubgate: TestHubgate;
let image: TestImage;
let bytes: Buffer;
/** What the registry answers with, instead of what it holds. */
let instead: ((response: ServerResponse) => void) | undefined;

beforeEach(async (t) => {
  bytes = randomBytes(300_000);
  image = imageOf({ layers: [bytes] });
  asked = [];
  instead = undefined;
  registry = await serveLocally((request, response) => {
    asked.push(request);
    if (instead !== undefined) instead(response);
    else answer(request, response);
  });
  ({ hubgate } = await withMirror(t, { policy: POLICY, configuration: { core: { url: registry.url } } }));
});

afterEach(() => registry.stop());

/** As a `registry` that runs as a pull-through cache: no auth, bytes in the response. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  if (request.url === '/v2/library/alpine/manifests/latest') {
    response.setHeader('docker-content-digest', image.digest);
    return sendBytes(request, response, image.mediaType, image.bytes);
  }
  if (request.url === `/v2/library/alpine/blobs/${image.layers[0]}`) {
    return sendBytes(request, response, 'application/octet-stream', bytes);
  }
  if (request.url === '/v2/library/alpine/tags/list?n=1') {
    response.setHeader('link', '</v2/library/alpine/tags/list?n=1&last=latest>; rel="next"');
    return void response.end(JSON.stringify({ name: 'library/alpine', tags: ['latest'] }));
  }
  response.writeHead(404).end();
}

test('the same gate in front of a registry: who may pull, pulls; who may not, reaches nothing', async () => {
  const manifest = await hubgate.ask('/v2/docker.io/library/alpine/manifests/latest', USER);
  assert.equal(manifest.status, 200);
  assert.deepEqual(manifest.body, image.bytes);
  const head = await hubgate.ask('/v2/alpine/manifests/latest', { ...USER, method: 'HEAD' });
  assert.equal(head.headers['docker-content-digest'], image.digest);
  const blob = await hubgate.ask(`/v2/alpine/blobs/${image.layers[0]}`, USER);
  assertBytes(blob.body, bytes);
  assert.equal(blob.headers['content-length'], '300000');
  const tags = await hubgate.ask('/v2/alpine/tags/list?n=1', USER);
  assert.equal(tags.headers.link, '</v2/library/alpine/tags/list?n=1&last=latest>; rel="next"');
  asked.length = 0;
  assert.equal((await hubgate.ask('/v2/alpine/manifests/latest')).status, 401);
  assert.equal((await hubgate.ask('/v2/acme/secret/manifests/latest', USER)).status, 403);
  assert.deepEqual(asked, []);
});

test('no header of a client crosses, its authorization least of all', async () => {
  await hubgate.ask('/v2/alpine/manifests/latest', {
    ...USER,
    headers: { 'x-evil': '1', 'user-agent': 'evil' },
  });
  assert.deepEqual(Object.keys(asked[0]?.headers ?? {}).sort(), [
    'accept',
    'accept-encoding',
    'connection',
    'host',
  ]);
});

test('invariant 8: what such a registry does not verify is verified here', async () => {
  const wrong = Buffer.from(bytes);
  wrong[150_000] = (wrong[150_000] ?? 0) ^ 1;
  instead = (response) => response.writeHead(200, { 'content-length': wrong.length }).end(wrong);
  await assert.rejects(hubgate.ask(`/v2/alpine/blobs/${image.layers[0]}`, USER));
  instead = (response) => {
    response.writeHead(200, { 'content-type': image.mediaType, 'docker-content-digest': image.digest });
    response.end(image.bytes.subarray(1));
  };
  assert.equal((await hubgate.ask('/v2/alpine/manifests/latest', USER)).status, 502);
});

test('a list of tags that is none is its trouble, and no failure of the gateway', async () => {
  for (const body of [
    'null',
    '<html>',
    '{}',
    '{"tags":{}}',
    `{"name":${'['.repeat(100_000)}`,
    '{"tags":[1]}',
  ]) {
    instead = (response) => response.end(body);
    const { status } = await hubgate.ask('/v2/alpine/tags/list', USER);
    assert.equal(status, 502, body.slice(0, 20));
  }
  instead = (response) => response.end('{"name":"library/alpine","tags":null}');
  const { body } = await hubgate.ask('/v2/alpine/tags/list', USER);
  assert.deepEqual(JSON.parse(body.toString()).tags, []);
});

test('its trouble is trouble, and not "not found"; a redirect of its storage is not handed on', async () => {
  for (const [status, expected] of [
    [404, 404],
    [429, 429],
    [401, 502],
    [403, 502],
    [500, 502],
    [307, 502],
  ] as const) {
    instead = (response) => response.writeHead(status, { location: 'https://storage.example/signed' }).end();
    const answered = await hubgate.ask('/v2/alpine/manifests/latest', USER);
    assert.equal(answered.status, expected, String(status));
    assert.equal(answered.headers.location, undefined);
  }
  await registry.stop();
  assert.equal((await hubgate.ask('/v2/alpine/manifests/latest', USER)).status, 503);
});

test('a manifest of a type that is not mirrored is called that, and no trouble', async () => {
  const type = 'application/vnd.oci.artifact.manifest.v1+json';
  instead = (response) => response.writeHead(200, { 'content-type': type }).end('{}');
  const { status, body } = await hubgate.ask('/v2/alpine/manifests/latest', USER);
  assert.equal(status, 404);
  assert.match(
    JSON.parse(body.toString()).errors[0].message,
    /^manifests of type \S+artifact\S+ are not mirrored/,
  );
});
