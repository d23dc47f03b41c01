/**
 * Tests that the core reads the answers of registries, proxies and CDNs as clients do, and believes a "no"
 * only in a registry's own words.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { sha256Of } from '../../../src/registry/digest.ts';
import { DOCKER_HUB } from '../../../src/registry/repository.ts';
import { assertBytes } from '../../support/assert-bytes.ts';
import { imageOf, indexOf, manifestOf, type TestImage } from '../../support/image.ts';
import {
  json,
  page,
  refusal,
  type StandInAnswer,
  type StandInBehaviour,
  StandInRegistry,
} from '../../support/stand-in-registry.ts';
import { TestCore } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';

const TAG = 'acme/app/manifests/1';
const HOUR = 60 * 60_000;

let registry: StandInRegistry;
let image: TestImage;
let core: TestCore;
let log: LoggedLine[];

beforeEach(async () => {
  image = imageOf({ layers: [Buffer.alloc(300_000, 'a layer that can be compressed. ')] });
  registry = await StandInRegistry.start();
  registry.push('1', image);
  log = [];
  core = await TestCore.start(registry, {
    upstreams: [{ host: DOCKER_HUB, url: registry.url }],
    log: testLog(log),
  });
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

async function stateOf(target: string, method = 'GET'): Promise<string> {
  const { status, headers } = await core.ask(target, { method });
  return `${status} ${headers['hubgate-error'] ?? headers['hubgate-cache']}`;
}

/** As a client pulls: HEAD, manifest, config and layers. */
async function pull(): Promise<void> {
  assert.match(await stateOf(TAG, 'HEAD'), /^200/);
  const { status, body } = await core.ask(TAG);
  assert.equal(status, 200);
  assertBytes(body, image.bytes, 'the manifest');
  for (const [digest, bytes] of image.blobs)
    assertBytes(await core.blob(`acme/app/blobs/${digest}`), bytes, digest);
}

const troubles = () => log.filter(({ msg }) => msg === 'upstream trouble');

/** For HEAD only: everything else is answered well. */
const forHead =
  (of: RegExp, answer: (usual: StandInAnswer) => StandInAnswer): StandInBehaviour =>
  ({ method, path }, usual) =>
    method === 'HEAD' && of.test(path) ? answer(usual) : usual;

const withHeaders = (usual: StandInAnswer, headers: Record<string, string>): StandInAnswer => ({
  ...usual,
  headers: { ...usual.headers, ...headers },
});

function without(usual: StandInAnswer, header: string): StandInAnswer {
  const { [header]: _, ...headers } = usual.headers ?? {};
  return { ...usual, headers };
}

const PAGES: Readonly<Record<string, StandInAnswer>> = {
  '403 HTML': page(403),
  '404 HTML': page(404),
  '401 HTML': page(401),
  '404 text': page(404, 'text/plain'),
  '403 without a type': { status: 403 },
  '403 XML': page(403, 'application/xml'),
  '200 HTML': page(200),
  '451 HTML': page(451),
};

for (const [name, answer] of Object.entries(PAGES))
  test(`the cached copy survives ${name}, which is reported, and is revalidated as soon as that has gone`, async () => {
    await pull();
    registry.behave = () => answer;
    for (const later of [61_000, HOUR]) {
      core.now += later;
      log.length = 0;
      assert.equal(await stateOf(TAG), '200 stale');
      assert.ok(troubles().length > 0, 'the log says it');
      assert.match(await stateOf(`acme/app/manifests/${image.digest}`), /^200/);
      assertBytes(
        await core.blob(`acme/app/blobs/${image.layers[0]}`),
        image.blobs.get(image.layers[0] ?? image.digest),
        '',
      );
    }
    assert.equal(await stateOf('acme/app/manifests/never'), '502 UPSTREAM_FAILED', 'it is not "not found"');
    registry.behave = (_, usual) => usual;
    assert.equal(await stateOf(TAG), '200 revalidated');
  });

test('JSON without `errors` is no refusal of a registry', async () => {
  assert.match(await stateOf('acme/app/tags/list'), /^200/);
  for (const document of [{ message: 'no such page' }, { errors: [] }, { errors: 'none' }]) {
    registry.behave = () => json(404, document);
    assert.equal(await stateOf('acme/app/tags/list'), '200 stale');
  }
});

test('a "no" in a registry’s own words is believed, whatever charset it names', async () => {
  for (const [status, code] of [
    [404, 'MANIFEST_UNKNOWN'],
    [403, 'DENIED'],
    [401, 'UNAUTHORIZED'],
  ] as const) {
    await core[Symbol.asyncDispose]();
    registry.behave = (_, usual) => usual;
    core = await TestCore.start(registry, {
      upstreams: [{ host: DOCKER_HUB, url: registry.url }],
      log: testLog(log),
    });
    await pull();
    core.now += 61_000;
    registry.behave = () => {
      const answer = refusal(status, code);
      return status === 401 ? withHeaders(answer, { 'www-authenticate': 'Basic realm="r"' }) : answer;
    };
    assert.equal(await stateOf(TAG), '404 MANIFEST_UNKNOWN', code);
  }
});

test('the page of a token service is no refusal', async () => {
  const withToken: StandInBehaviour = ({ path, headers: { authorization } }, usual) => {
    if (path === '/token') return json(200, { token: 'good', expires_in: 60 });
    if (authorization === 'Bearer good') return usual;
    const realm = new URL('/token', registry.url).href;
    return withHeaders(refusal(401, 'UNAUTHORIZED'), { 'www-authenticate': `Bearer realm="${realm}"` });
  };
  registry.behave = withToken;
  await pull();
  core.now += HOUR;
  registry.behave = (asked, usual) => (asked.path === '/token' ? page(403) : withToken(asked, usual));
  assert.equal(await stateOf(TAG), '200 stale');
  registry.behave = (asked, usual) =>
    asked.path === '/token' ? refusal(403, 'DENIED') : withToken(asked, usual);
  assert.equal(await stateOf(TAG), '404 MANIFEST_UNKNOWN');
});

const HEADS: Readonly<Record<string, (usual: StandInAnswer) => StandInAnswer>> = {
  '405': () => page(405),
  '501': () => page(501),
  '400': () => json(400, {}),
  '404 without a type': () => ({ status: 404 }),
  '404 in JSON': () => refusal(404, 'MANIFEST_UNKNOWN'),
  '403 in HTML': () => page(403),
  '403 in JSON': () => refusal(403, 'DENIED'),
  '401 without a challenge': () => ({ status: 401 }),
  'application/json': (usual) => withHeaders(usual, { 'content-type': 'application/json' }),
  'no type': (usual) => without(usual, 'content-type'),
  'no digest': (usual) => without(usual, 'docker-content-digest'),
  'no length': (usual) => withHeaders(usual, { 'content-length': '' }),
  'a length of 0': (usual) => withHeaders(usual, { 'content-length': '0' }),
};

for (const [name, answer] of Object.entries(HEADS))
  test(`a manifest is found by GET where HEAD says ${name}, and HEAD is soon asked no more`, async () => {
    registry.behave = forHead(/\/manifests\//, answer);
    await pull();
    assert.deepEqual(troubles(), []);
    for (let time = 0; time < 3; time++) {
      core.now += 61_000;
      assert.equal(await stateOf(TAG), '200 revalidated');
    }
    registry.takeRequests();
    core.now += 61_000;
    assert.equal(await stateOf(TAG), '200 revalidated');
    assert.deepEqual(registry.takeRequests(), ['GET /v2/acme/app/manifests/1']);
    core.now += HOUR;
    await stateOf(TAG);
    assert.equal(registry.takeRequests()[0], 'HEAD /v2/acme/app/manifests/1', 'it may answer well by now');
  });

test('a "no" to HEAD is checked once in a namespace where HEAD has not said yes, and then believed', async () => {
  for (const [tag, methods] of [
    ['missing', ['HEAD', 'GET']],
    ['gone', ['HEAD']],
    ['none', ['HEAD']],
  ] as const) {
    assert.equal(await stateOf(`acme/app/manifests/${tag}`), '404 MANIFEST_UNKNOWN');
    const asked = methods.map((method) => `${method} /v2/acme/app/manifests/${tag}`);
    assert.deepEqual(registry.takeRequests(), asked);
  }
});

test('a registry that has answered HEAD well is believed at once', async () => {
  await pull();
  registry.takeRequests();
  assert.equal(await stateOf('acme/app/manifests/missing'), '404 MANIFEST_UNKNOWN');
  assert.deepEqual(registry.takeRequests(), ['HEAD /v2/acme/app/manifests/missing']);
});

test('a GET that fails does not turn the "no" of a HEAD into trouble', async () => {
  registry.behave = ({ method }) => (method === 'HEAD' ? refusal(404, 'MANIFEST_UNKNOWN') : { status: 429 });
  assert.equal(await stateOf('acme/app/manifests/missing'), '404 MANIFEST_UNKNOWN');
});

test('trouble that is not of the HEAD costs no GET', async () => {
  for (const status of [500, 503, 429]) {
    registry.behave = () => ({ status });
    await stateOf(`acme/app/manifests/t${status}`);
    assert.ok(
      registry.takeRequests().every((request) => request.startsWith('HEAD')),
      String(status),
    );
  }
});

test('a layer that HEAD does not find is served where GET has it: Harbor’s proxy cache, with a shared layer', async () => {
  await pull();
  const shared = `acme/other/blobs/${image.layers[0]}`;
  registry.behave = forHead(/acme\/other\/blobs/, () => refusal(404, 'NOT_FOUND'));
  assert.match(await stateOf('acme/other/manifests/1'), /^200/);
  registry.takeRequests();
  assert.equal(await stateOf(shared), '200 hit');
  assert.deepEqual(
    registry.takeRequests(),
    ['HEAD', 'GET'].map((method) => `${method} /v2/${shared}`),
  );
  assert.equal(registry.requests.length, 0);
  const absent = `acme/other/blobs/${sha256Of(Buffer.from('absent'))}`;
  assert.equal(await stateOf(absent), '404 BLOB_UNKNOWN');
});

test('of a blob that is asked for by GET instead of HEAD one byte is asked for', async () => {
  await pull();
  registry.behave = forHead(/blobs/, () => refusal(404, 'NOT_FOUND'));
  await stateOf('acme/other/manifests/1');
  registry.requests.length = 0;
  assert.equal(await stateOf(`acme/other/blobs/${image.layers[0]}`), '200 hit');
  assert.equal(registry.requests.at(-1)?.headers.range, 'bytes=0-0');
});

const ENCODINGS = {
  gzip: gzipSync,
  'x-gzip': gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
  zstd: zstdCompressSync,
  'aws-chunked': (bytes: Uint8Array) => bytes,
  identity: (bytes: Uint8Array) => bytes,
  'gzip, br': (bytes: Uint8Array) => brotliCompressSync(gzipSync(bytes)),
};

const encoded = (usual: StandInAnswer, name: keyof typeof ENCODINGS): StandInAnswer => {
  const body = ENCODINGS[name](Buffer.from(usual.body ?? ''));
  return { ...withHeaders(usual, { 'content-encoding': name, 'content-length': String(body.length) }), body };
};

for (const name of Object.keys(ENCODINGS) as (keyof typeof ENCODINGS)[])
  test(`what comes with Content-Encoding: ${name} is decoded, and verified`, async () => {
    registry.behave = (_, usual) => encoded(usual, name);
    await pull();
    const { body } = await core.ask('acme/app/tags/list');
    assert.deepEqual(JSON.parse(body.toString()), { name: 'acme/app', tags: ['1'] });
    assert.equal(await stateOf('acme/app/manifests/missing'), '404 MANIFEST_UNKNOWN', 'so is a refusal');
    const other = imageOf();
    registry.push('2', other);
    registry.behave = ({ path }, usual) =>
      encoded(/blobs/.test(path) ? { ...usual, body: 'other bytes' } : usual, name);
    assert.match(await stateOf('acme/app/manifests/2'), /^200/);
    assert.equal(await core.blob(`acme/app/blobs/${other.layers[0]}`), 0, 'it fails');
  });

test('a compressed blob that breaks off is asked for from the beginning, because its parts cannot be read', async () => {
  let cuts = 0;
  registry.behave = ({ path, method }, usual) => {
    if (method !== 'GET' || !/blobs/.test(path)) return usual;
    const answer = encoded(usual, 'gzip');
    if (cuts++ > 0) return answer;
    // The end is missing, and the length does not show it.
    const body = Buffer.from(answer.body ?? '').subarray(0, -20);
    return { ...withHeaders(answer, { 'content-length': String(body.length) }), body };
  };
  await pull();
});

test('bytes that are not compressed as they say are trouble', async () => {
  registry.behave = (_, usual) => withHeaders(usual, { 'content-encoding': 'gzip' });
  assert.equal(await stateOf(TAG), '502 UPSTREAM_FAILED');
  assert.match(String(troubles()[0]?.detail), /a compressed answer cannot be decoded/);
});

for (const label of [
  'text/plain',
  'application/octet-stream',
  'application/json; charset=utf-8',
  'binary/octet-stream',
  undefined,
])
  test(`a manifest with ${label ?? 'no type'} is what it says itself`, async () => {
    const index = indexOf([image]);
    registry.push('index', index);
    const { mediaType: _, ...bare } = JSON.parse(image.bytes.toString());
    const untyped = manifestOf(bare, image.mediaType);
    registry.push('untyped', { ...image, ...untyped, manifests: [untyped] });
    registry.behave = ({ path }, usual) => {
      if (!/manifests/.test(path) || usual.status !== 200) return usual;
      return label === undefined
        ? without(usual, 'content-type')
        : withHeaders(usual, { 'content-type': label });
    };
    for (const [tag, { mediaType, digest, bytes }] of Object.entries({ 1: image, index, untyped })) {
      const { headers, body } = await core.ask(`acme/app/manifests/${tag}`);
      assert.deepEqual([headers['content-type'], headers['docker-content-digest']], [mediaType, digest]);
      assertBytes(body, bytes, tag);
    }
  });

test('a label that says nothing makes no manifest of other documents', async () => {
  const documents: Readonly<Record<string, object | string>> = {
    page: '<html></html>',
    list: [],
    both: { schemaVersion: 2, manifests: [], layers: [] },
    neither: { schemaVersion: 2 },
    other: { schemaVersion: 2, mediaType: 'text/html', layers: [] },
    old: { schemaVersion: 1, fsLayers: [] },
  };
  for (const [tag, document] of Object.entries(documents)) {
    const bytes = Buffer.from(typeof document === 'string' ? document : JSON.stringify(document));
    registry.push(tag, {
      ...image,
      digest: sha256Of(bytes),
      manifests: [{ ...image, digest: sha256Of(bytes), bytes }],
    });
  }
  registry.behave = ({ path }, usual) =>
    /manifests/.test(path) ? withHeaders(usual, { 'content-type': 'text/plain' }) : usual;
  for (const name of Object.keys(documents))
    assert.equal(await stateOf(`acme/app/manifests/${name}`), '502 UPSTREAM_FAILED', name);
});

test('ten redirects are followed, as clients follow them, and eleven are not', async () => {
  for (const [hops, status] of [
    [10, 200],
    [11, 502],
  ] as const) {
    registry.behave = ({ path, query }, usual) => {
      const hop = Number(query.get('hop') ?? 0);
      if (!/\/manifests\//.test(path) || hop === hops) return usual;
      return { status: 302, headers: { location: `${path}?hop=${hop + 1}` } };
    };
    registry.push(`hops-${hops}`, image);
    assert.equal((await core.ask(`acme/app/manifests/hops-${hops}`)).status, status);
  }
});

test('a page with 200 proves no blob', async () => {
  await pull();
  assert.match(await stateOf('acme/other/manifests/1'), /^200/);
  registry.behave = () => page(200);
  assert.equal(await stateOf(`acme/other/blobs/${image.layers[0]}`), '502 UPSTREAM_FAILED');
});
