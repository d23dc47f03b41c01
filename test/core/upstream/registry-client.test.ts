import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, test } from 'node:test';
import pino from 'pino';
import { createRegistryClient, type RegistryClient } from '../../../src/core/upstream/registry-client.ts';
import { createTransport, type Transport } from '../../../src/core/upstream/transport.ts';
import type { UpstreamCredential } from '../../../src/core/upstream/upstream.ts';
import { Deadline } from '../../../src/platform/scheduling/deadline.ts';
import type { Tag } from '../../../src/registry/reference.ts';
import { DOCKER_HUB, repositoryAt } from '../../../src/registry/repository.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import type { Behaviour } from '../../support/fault.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, QUIET, SHORT_LIMITS } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

const ALPINE = repositoryAt(DOCKER_HUB, 'alpine') ?? assert.fail();
const LATEST = { kind: 'tag', tag: 'latest' as Tag } as const;
const AS_ACCOUNT = { as: 'account' } as const;

let hub: FakeHub;
let image: TestImage;
let transport: Transport;
let client: RegistryClient;
let now: number;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  image = imageOf({ size: 100_000 });
  hub.push('library/alpine', 'latest', image);
  transport = createTransport({ limits: SHORT_LIMITS, log: QUIET });
  now = Date.now();
  client = clientWith(ACCOUNT);
});

afterEach(async () => {
  await transport[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function clientWith(
  credential: UpstreamCredential | undefined,
  through = transport,
  limits = SHORT_LIMITS,
  log = QUIET,
): RegistryClient {
  const upstream = { host: DOCKER_HUB, url: hub.url, ...(credential && { credential }) };
  return createRegistryClient({
    upstreams: [upstream],
    transport: through,
    limits,
    clock: () => now,
    log,
  });
}

function tokenRequests() {
  return hub.log.filter(({ server }) => server === 'token');
}

test('one token for all who ask at once, used until 80 % of its life, then another', async () => {
  await client.headManifest(ALPINE, LATEST, AS_ACCOUNT);
  hub.log.length = 0;
  await Promise.all(Array.from({ length: 10 }, () => client.headManifest(ALPINE, LATEST, AS_ACCOUNT)));
  assert.equal(tokenRequests().length, 0);
  now += 239_000;
  await client.headManifest(ALPINE, LATEST, AS_ACCOUNT);
  assert.equal(tokenRequests().length, 0);
  now += 2_000;
  await Promise.all(Array.from({ length: 10 }, () => client.headManifest(ALPINE, LATEST, AS_ACCOUNT)));
  assert.equal(tokenRequests().length, 1);
});

test('a token is asked for one scope, as the account by Basic or as nobody', async () => {
  await client.headManifest(ALPINE, LATEST, AS_ACCOUNT);
  await client.headManifest(ALPINE, LATEST, { as: 'anonymous' });
  const [account, anonymous] = tokenRequests();
  const basic = `Basic ${Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64')}`;
  assert.equal(account?.headers.authorization, basic);
  assert.equal(account?.query.get('account'), ACCOUNT.username);
  assert.equal(anonymous?.headers.authorization, undefined);
  for (const request of [account, anonymous]) {
    assert.equal(request?.query.get('service'), 'registry.docker.io');
    assert.deepEqual(request?.query.getAll('scope'), ['repository:library/alpine:pull']);
  }
});

test('a token that the upstream no longer takes is replaced once', async () => {
  await client.headManifest(ALPINE, LATEST, AS_ACCOUNT);
  hub.log.length = 0;
  const expired = {
    'www-authenticate': `Bearer realm="${hub.tokenUrl.origin}/token",service="registry.docker.io"`,
  };
  hub.plant('registry', /./, { kind: 'status', status: 401, headers: expired }, 1);
  assert.equal((await client.headManifest(ALPINE, LATEST, AS_ACCOUNT)).kind, 'ok');
  assert.equal(tokenRequests().length, 1);
  hub.plant('registry', /./, { kind: 'status', status: 401, headers: expired });
  assert.equal((await client.headManifest(ALPINE, LATEST, AS_ACCOUNT)).kind, 'denied');
  assert.equal(tokenRequests().length, 2);
});

test('a 401 to a token that was fetched for the very request stands', async () => {
  await client.headManifest(ALPINE, LATEST, AS_ACCOUNT);
  hub.log.length = 0;
  const missing = repositoryAt(DOCKER_HUB, 'library/missing') ?? assert.fail();
  assert.equal((await client.headManifest(missing, LATEST, AS_ACCOUNT)).kind, 'denied');
  assert.deepEqual(hub.takeRequests(), [
    'GET token /token',
    'HEAD registry /v2/library/missing/manifests/latest',
  ]);
});

test('all four manifest types are accepted at every request, and nothing compressed', async () => {
  await client.getManifest(ALPINE, LATEST, AS_ACCOUNT);
  for (const { server, headers } of hub.log) {
    assert.equal(headers['accept-encoding'], 'identity');
    if (server !== 'registry') continue;
    for (const type of [
      'oci.image.index',
      'oci.image.manifest',
      'manifest.list',
      'distribution.manifest.v2',
    ]) {
      assert.match(headers.accept ?? '', new RegExp(type.replaceAll('.', '\\.')));
    }
  }
});

test('invariant 5: a blob’s redirect is followed without the authorization', async () => {
  const answer = await client.getBlob(ALPINE, image.layers[0] ?? assert.fail(), AS_ACCOUNT);
  assert.ok(answer.kind === 'ok');
  assert.equal((await buffer(answer.value.body)).length, 100_000);
  const cdn = hub.log.find(({ server }) => server === 'cdn');
  assert.equal(cdn?.headers.authorization, undefined);
});

test('invariant 5: a token service elsewhere is not asked, and the credential stays here', async () => {
  for (const realm of ['http://169.254.169.254/token', 'https://evil.example/token', 'nonsense']) {
    const headers = { 'www-authenticate': `Bearer realm="${realm}",service="x"` };
    hub.plant('registry', /./, { kind: 'status', status: 401, headers });
    const answer = await clientWith(ACCOUNT).headManifest(ALPINE, LATEST, AS_ACCOUNT);
    assert.equal(answer.kind === 'unavailable' && answer.failure.cause, 'failed', realm);
    hub.heal();
  }
  assert.deepEqual(tokenRequests(), []);
});

test('invariant 5: a redirect to another kind of address is not followed', async () => {
  const layer = image.layers[0] ?? assert.fail();
  for (const [location, reason] of [
    ['http://169.254.169.254/x', /which has no loopback address$/],
    ['http://10.0.0.1/x', /which has no loopback address$/],
    ['file:///etc/passwd', /which is not asked by HTTP$/],
    ['http://u:p@127.0.0.1/x', /with a login in the address$/],
  ] as const) {
    hub.plant('registry', /blobs/, { kind: 'status', status: 307, headers: { location } });
    const answer = await client.getBlob(ALPINE, layer, AS_ACCOUNT);
    assert.match(answer.kind === 'unavailable' ? answer.failure.detail : '', reason, location);
    hub.heal();
  }
});

test('a token that would end the header that it is put into is none', async () => {
  for (const token of ['a\r\nx-evil: 1', 'a b', 'é', '', 5, null]) {
    hub.plant('token', /./, { kind: 'status', status: 200, body: JSON.stringify({ token }) });
    const answer = await clientWith(ACCOUNT).headManifest(ALPINE, LATEST, AS_ACCOUNT);
    assert.equal(answer.kind === 'unavailable' && answer.failure.cause, 'unfit', String(token));
    hub.heal();
  }
});

test('a redirect that never ends is given up', async () => {
  const layer = image.layers[0] ?? assert.fail();
  hub.plant('registry', /blobs/, {
    kind: 'status',
    status: 307,
    headers: { location: `${hub.url.origin}/v2/x/blobs/y` },
  });
  const answer = await client.getBlob(ALPINE, layer, AS_ACCOUNT);
  assert.equal(answer.kind === 'unavailable' && answer.failure.cause, 'failed');
  assert.ok(hub.log.filter(({ path: target }) => target.includes('blobs')).length <= 5);
});

test('what the host behind a redirect refuses says nothing about the repository', async () => {
  hub.plant('cdn', /./, { kind: 'status', status: 403 });
  const answer = await client.getBlob(ALPINE, image.layers[0] ?? assert.fail(), AS_ACCOUNT);
  assert.equal(answer.kind, 'unavailable');
  assert.equal((await client.headManifest(ALPINE, LATEST, AS_ACCOUNT)).kind, 'ok');
});

test('wrong credentials are trouble, and not a missing repository', async () => {
  const wrong = clientWith({ username: ACCOUNT.username, password: 'wrong' });
  const ask = () => wrong.headManifest(ALPINE, LATEST, AS_ACCOUNT);
  const answer = await ask();
  assert.equal(answer.kind === 'unavailable' && answer.failure.cause, 'credential');
  assert.equal((await wrong.headManifest(ALPINE, LATEST, { as: 'anonymous' })).kind, 'ok');
  const asked = hub.log.length;
  await ask();
  assert.equal(
    hub.log.length,
    asked,
    'an account that logs in wrongly again and again is locked out by the Hub',
  );
  now += 61_000;
  await ask();
  assert.ok(hub.log.length > asked);
});

test('invariant 16: one deadline bounds a whole question, whatever of it takes so long', async (t) => {
  const limits = { ...SHORT_LIMITS, connect: 60_000, headers: 60_000, bodyIdle: 60_000, token: 60_000 };
  const patient = createTransport({ limits, log: QUIET });
  t.after(() => patient[Symbol.asyncDispose]());
  const troubles: readonly [server: 'registry' | 'token', Behaviour][] = [
    ['registry', { kind: 'hang' }],
    ['token', { kind: 'hang' }],
    ['registry', { kind: 'pause', at: 10, gate: new Promise(() => {}) }],
  ];
  for (const [server, behaviour] of troubles) {
    const fresh = clientWith(ACCOUNT, patient, limits);
    await fresh.headManifest(ALPINE, LATEST, { as: 'anonymous' });
    hub.plant(server, /./, behaviour);
    const answer = await fresh.getManifest(ALPINE, LATEST, { ...AS_ACCOUNT, deadline: 500 });
    assert.equal(
      answer.kind === 'unavailable' && answer.failure.cause,
      'timeout',
      `${server}: ${behaviour.kind}`,
    );
    hub.heal();
  }
});

test('a manifest behind a redirect is followed, as registry.k8s.io has them', async () => {
  const manifest = image.manifests[0] ?? assert.fail();
  const other = `${hub.url.origin}/v2/other/manifests/latest`;
  hub.plant('registry', /alpine\/manifests/, { kind: 'status', status: 307, headers: { location: other } });
  hub.plant('registry', /other\/manifests/, {
    kind: 'status',
    status: 200,
    headers: { 'content-type': manifest.mediaType, 'docker-content-digest': manifest.digest },
    body: manifest.bytes.toString(),
  });
  const answer = await client.getManifest(ALPINE, LATEST, AS_ACCOUNT);
  assert.equal(answer.kind === 'ok' && answer.value.digest, manifest.digest);
});

test('behind a redirect a manifest that is missing is missing, and one that is refused says nothing', async () => {
  const headers = { location: `${hub.cdnUrl.origin}/manifest` };
  hub.plant('registry', /alpine\/manifests/, { kind: 'status', status: 307, headers });
  hub.plant('cdn', /./, { kind: 'status', status: 403 }, 1);
  assert.equal((await client.getManifest(ALPINE, LATEST, AS_ACCOUNT)).kind, 'unavailable');
  hub.plant('cdn', /./, { kind: 'status', status: 404 }, 1);
  assert.deepEqual(await client.getManifest(ALPINE, LATEST, AS_ACCOUNT), {
    kind: 'denied',
    reason: 'not-found',
  });
});

test('a blob is there whose storage refuses the HEAD: its URL was signed for a GET', async () => {
  hub.plant('cdn', /^HEAD/, { kind: 'status', status: 403 });
  const layer = image.layers[0] ?? assert.fail();
  const answer = await client.headBlob(ALPINE, layer, { ...AS_ACCOUNT, wantSize: true });
  assert.deepEqual(answer, { kind: 'ok', value: { size: undefined } });
});

test('invariant 5: a challenge of the storage behind a redirect is not met', async () => {
  await client.headManifest(ALPINE, LATEST, AS_ACCOUNT);
  hub.takeRequests();
  const headers = { 'www-authenticate': `Bearer realm="${hub.tokenUrl.origin}/of-the-storage",service="x"` };
  hub.plant('cdn', /./, { kind: 'status', status: 401, headers });
  const answer = await client.getBlob(ALPINE, image.layers[0] ?? assert.fail(), AS_ACCOUNT);
  assert.equal(answer.kind, 'unavailable');
  assert.deepEqual(
    hub.takeRequests().map((request) => request.split(' ', 2).join(' ')),
    ['GET registry', 'GET cdn'],
  );
});

test('a part that nobody asked for is no answer', async () => {
  hub.plant('registry', /^GET .*manifests/, {
    kind: 'status',
    status: 206,
    headers: { 'content-type': image.mediaType, 'content-range': 'bytes 0-1/1000' },
    body: '{}',
  });
  assert.equal((await client.getManifest(ALPINE, LATEST, AS_ACCOUNT)).kind, 'unavailable');
});

test('the password file is read when a token is fetched, whatever is in it', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-secret-'));
  t.after(() => rm(directory, { recursive: true }));
  const passwordFile = path.join(directory, 'token');
  const reading = clientWith({ username: ACCOUNT.username, passwordFile });
  const missing = await reading.headManifest(ALPINE, LATEST, AS_ACCOUNT);
  assert.equal(missing.kind === 'unavailable' && missing.failure.cause, 'failed');
  await writeFile(passwordFile, `\uFEFF ${ACCOUNT.password} \r\n`);
  assert.equal((await reading.headManifest(ALPINE, LATEST, AS_ACCOUNT)).kind, 'ok');
});

test('a manifest that is too large is unfit, and one of a type that is not mirrored is refused', async () => {
  const body = 'x'.repeat(4 * 1024 * 1024 + 1);
  hub.plant('registry', /^GET .*manifests/, {
    kind: 'status',
    status: 200,
    headers: { 'content-type': image.mediaType },
    body,
  });
  const large = await client.getManifest(ALPINE, LATEST, AS_ACCOUNT);
  assert.equal(large.kind === 'unavailable' && large.failure.cause, 'unfit');
  hub.heal();
  const headers = { 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' };
  hub.plant('registry', /manifests/, { kind: 'status', status: 200, headers, body: '{}' });
  for (const answer of [
    await client.getManifest(ALPINE, LATEST, AS_ACCOUNT),
    await client.headManifest(ALPINE, LATEST, AS_ACCOUNT),
  ]) {
    assert.equal(answer.kind === 'denied' && answer.reason, 'unsupported');
  }
});

test('what an upstream sends that cannot be used is said in the log', async () => {
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => lines.push(line) });
  const logged = clientWith(ACCOUNT, transport, SHORT_LIMITS, log);
  const layer = image.layers[0] ?? assert.fail();
  hub.plant('registry', /^GET .*manifests/, { kind: 'corrupt', at: 20 });
  hub.plant('cdn', /^GET/, { kind: 'status', status: 206, headers: { 'content-range': 'none' }, body: 'x' });
  const byDigest = { kind: 'digest', digest: image.digest } as const;
  assert.equal((await logged.getManifest(ALPINE, byDigest, AS_ACCOUNT)).kind, 'unavailable');
  assert.equal((await logged.getBlob(ALPINE, layer, { ...AS_ACCOUNT, from: 10 })).kind, 'unavailable');
  assert.match(
    lines[0] ?? '',
    /"cause":"unfit","detail":"docker.io\/library\/alpine: a manifest is not what/,
  );
  assert.match(
    lines[1] ?? '',
    /"cause":"unfit","detail":"docker.io\/library\/alpine: a part of a blob, without/,
  );
});

test('of a blob only the part that was asked for is taken, or the whole, and of the size that is known', async () => {
  const layer = image.layers[0] ?? assert.fail();
  const unfit = ['bytes 5-9/100000', 'bytes 20-29/100000', 'bytes 10-19/200000', 'bytes 10-19', undefined];
  for (const [range, isTaken] of [
    ['bytes 10-99999/100000', true],
    ['bytes 10-99999/*', true],
    ['bytes 0-99999/100000', true],
    ...unfit.map((one) => [one, false] as const),
  ] as const) {
    const headers: Record<string, string> = range === undefined ? {} : { 'content-range': range };
    hub.plant('cdn', /^GET/, { kind: 'status', status: 206, headers, body: 'x' });
    const answer = await client.getBlob(ALPINE, layer, { ...AS_ACCOUNT, from: 10, size: 100_000 });
    hub.heal();
    if (answer.kind === 'ok') await answer.value.body.dump?.();
    const verdict = answer.kind === 'unavailable' ? answer.failure.cause : answer.kind;
    assert.equal(verdict, isTaken ? 'ok' : 'unfit', String(range));
  }
});

test('"no" is remembered for a while, so that asking again costs the upstream nothing', async () => {
  const gone = { kind: 'tag', tag: 'gone' as Tag } as const;
  const asked = async (reference: typeof gone | typeof LATEST) => {
    const before = hub.log.length;
    await client.headManifest(ALPINE, reference, AS_ACCOUNT);
    return hub.log.length - before;
  };
  await asked(gone);
  assert.equal(await asked(gone), 0);
  assert.equal(await asked(LATEST), 1);
  now += 31_000;
  assert.equal(await asked(gone), 1);

  hub.setPrivate('library/alpine', true);
  now += 300_000;
  assert.ok((await asked(LATEST)) > 0);
  assert.equal(await asked(LATEST), 0);
  hub.setPrivate('library/alpine', false);
  now += 61_000;
  assert.ok((await asked(LATEST)) > 0);
});

test('a limit holds for requests of its kind until Retry-After, and names what is left of it', async () => {
  hub.plant('registry', /^GET .*manifests/, {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '120' },
  });
  await client.getManifest(ALPINE, LATEST, AS_ACCOUNT);
  hub.log.length = 0;
  now += 20_000;
  const limited = await client.getManifest(ALPINE, LATEST, AS_ACCOUNT);
  assert.deepEqual(limited.kind === 'unavailable' && [limited.failure.cause, limited.failure.retryAfter], [
    'limited',
    100,
  ]);
  assert.equal(hub.log.length, 0);
  assert.equal((await client.headManifest(ALPINE, LATEST, AS_ACCOUNT)).kind, 'ok');
});

test('the quota is the account’s, and not that of an anonymous request', async () => {
  await client.headManifest(ALPINE, LATEST, { as: 'anonymous' });
  assert.equal(client.accounts(DOCKER_HUB)[0]?.quota, undefined);
  hub.remaining = 42;
  await client.getManifest(ALPINE, LATEST, AS_ACCOUNT);
  assert.equal(client.accounts(DOCKER_HUB)[0]?.quota?.remaining, 42);
  assert.equal(client.accounts(DOCKER_HUB)[0]?.quota?.window, 21_600);
});

test('without a credential the quota is that of this address', async () => {
  const nobody = clientWith(undefined);
  hub.remaining = 42;
  await nobody.headManifest(ALPINE, LATEST, AS_ACCOUNT);
  assert.equal(nobody.accounts(DOCKER_HUB)[0]?.quota?.remaining, 42);
});

test('what one identity is refused is not refused to the other', async () => {
  const limited = { kind: 'status', status: 429, headers: { 'retry-after': '120' } } as const;
  const gone = { kind: 'tag', tag: 'gone' as Tag } as const;
  await client.headManifest(ALPINE, LATEST, { as: 'anonymous' });
  hub.plant('registry', /^GET .*latest/, limited, 1);
  hub.plant('registry', /gone/, { kind: 'status', status: 404 }, 1);
  for (const reference of [gone, LATEST]) await client.getManifest(ALPINE, reference, { as: 'anonymous' });
  hub.takeRequests();
  for (const reference of [gone, LATEST]) await client.getManifest(ALPINE, reference, AS_ACCOUNT);
  const asked = hub.takeRequests().filter((request) => request.startsWith('GET registry'));
  assert.deepEqual(asked, [
    'GET registry /v2/library/alpine/manifests/gone',
    'GET registry /v2/library/alpine/manifests/latest',
  ]);
});

test('a limit of manifests is none of blobs, and is asked about again after five minutes', async () => {
  const headers = { 'retry-after': '999999' };
  hub.plant('registry', /^GET .*manifests/, { kind: 'status', status: 429, headers }, 1);
  assert.equal((await client.getManifest(ALPINE, LATEST, AS_ACCOUNT)).kind, 'unavailable');
  const blob = await client.getBlob(ALPINE, image.layers[0] ?? assert.fail(), AS_ACCOUNT);
  assert.ok(blob.kind === 'ok');
  await blob.value.body.dump?.();
  now += 301_000;
  assert.equal((await client.getManifest(ALPINE, LATEST, AS_ACCOUNT)).kind, 'ok');
});

test('a manifest or its head under another digest than it says is unfit, and so is a document of over 4 MiB', async () => {
  const other = imageOf();
  const headers = { 'content-type': image.mediaType, 'docker-content-digest': other.digest };
  const body = image.bytes.toString();
  hub.plant('registry', /manifests/, { kind: 'status', status: 200, headers, body });
  hub.plant('registry', /tags/, { kind: 'status', status: 200, body: 'x'.repeat(4 * 1024 * 1024 + 1) });
  const byDigest = { kind: 'digest', digest: image.digest } as const;
  for (const answer of [
    await client.headManifest(ALPINE, byDigest, AS_ACCOUNT),
    await client.getManifest(ALPINE, LATEST, AS_ACCOUNT),
    await client.getDocument(ALPINE, 'tags/list', AS_ACCOUNT),
  ]) {
    assert.equal(answer.kind === 'unavailable' && answer.failure.cause, 'unfit');
  }
});

test('invariant 5: to an upstream that wants Basic the credential is shown as the account only', async () => {
  const headers = { 'www-authenticate': 'Basic realm="x"' };
  hub.plant('registry', /./, { kind: 'status', status: 401, headers });
  const shown = () =>
    hub.log.splice(0).filter(({ headers: sent }) => sent.authorization !== undefined).length;
  await client.headManifest(ALPINE, LATEST, { as: 'anonymous' });
  assert.equal(shown(), 0);
  await client.headManifest(ALPINE, LATEST, AS_ACCOUNT);
  // With the manifest, and then with the root of the API, to learn whether the refusal is of the credential.
  assert.equal(shown(), 2);
});

test('by Basic a 401 is of the credential where the root of the API says 401 too, and else of the repository', async () => {
  const headers = { 'www-authenticate': 'Basic realm="x"' };
  hub.plant('registry', /manifests/, { kind: 'status', status: 401, headers });
  hub.plant('registry', /^GET \/v2\/$/, { kind: 'status', status: 200 }, 1);
  hub.plant('registry', /^GET \/v2\/$/, { kind: 'status', status: 401, headers });
  assert.deepEqual(await client.headManifest(ALPINE, LATEST, AS_ACCOUNT), {
    kind: 'denied',
    reason: 'unauthorized',
  });
  now += 61_000;
  const answer = await client.headManifest(ALPINE, LATEST, AS_ACCOUNT);
  assert.equal(answer.kind === 'unavailable' && answer.failure.cause, 'credential');
  assert.equal(client.accounts(DOCKER_HUB)[0]?.credential, 'refused');
});

test('trouble is told without what is secret in a URL', async () => {
  hub.plant('cdn', /./, { kind: 'status', status: 500 });
  const answer = await client.getBlob(ALPINE, image.layers[0] ?? assert.fail(), AS_ACCOUNT);
  assert.ok(answer.kind === 'unavailable');
  assert.doesNotMatch(answer.failure.detail, /verify|\?/);
});

test('invariant 16: who waits for a connection of ours waits no longer than may be, and it is no fault of the host', async (t) => {
  const patient = createTransport({ limits: { ...SHORT_LIMITS, headers: 60_000 }, log: QUIET });
  t.after(() => patient[Symbol.asyncDispose]());
  hub.plant('registry', /./, { kind: 'hang' });
  const ending = new AbortController();
  const url = new URL('/v2/', hub.url);
  const send = (signal: AbortSignal) =>
    patient.send({ method: 'GET', url, upstream: { host: DOCKER_HUB, url }, signal });
  const waiting = Array.from({ length: 64 }, () => send(ending.signal));
  await waitFor(() => hub.log.length === waiting.length);
  using deadline = new Deadline(20);
  const answer = await send(deadline.signal);
  assert.equal(answer.kind === 'unavailable' && answer.failure.cause, 'timeout');
  assert.equal(patient.trouble(url), undefined);
  ending.abort();
  await Promise.all(waiting);
});
