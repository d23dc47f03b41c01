import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, test } from 'node:test';
import { type WarmCommandOptions, warm } from '../../../src/commands/warm/warm.ts';
import { DOCKER_HUB } from '../../../src/registry/repository.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { attestationOf, imageOf, indexOf, referrerOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, TestCore } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';
import { run } from '../support/terminal.ts';

const BIN = path.join(import.meta.dirname, '../../../src/bin/hubgate.ts');

let home: string;
let hub: FakeHub;
let core: TestCore;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-warm-'));
  await mkdir(path.join(home, 'run/core'), { recursive: true });
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: ['acme/secret'] });
  const socket = path.join(home, 'run/core/core.sock');
  core = await TestCore.start(hub, { socket, directory: path.join(home, 'data'), clock: Date.now });
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

async function warmed(images: readonly string[], options: Partial<WarmCommandOptions> = {}) {
  const ran = await run((terminal) => warm(images, { home, json: true, ...options }, {}, terminal));
  const results = ran.stdout
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return {
    ...ran,
    results,
    statuses: Object.fromEntries(results.map((one) => [short(one.image), one.status])),
  };
}

const short = (image: string) => image.split('/').at(-1)?.split(':')[0] ?? '';

const manifestGets = () =>
  hub.log.filter(({ method, path: at }) => method === 'GET' && at.includes('/manifests/')).length;

/** Has the core all of an image, when nobody can be asked, for those who may have public content alone? */
async function assertServed(
  repository: string,
  tag: string,
  image: TestImage,
  grant = 'public',
): Promise<void> {
  const byTag = await core.ask(`${repository}/manifests/${tag}`, { grant });
  assert.equal(byTag.headers['docker-content-digest'], image.digest);
  for (const { digest, bytes } of image.manifests)
    assert.deepEqual((await core.ask(`${repository}/manifests/${digest}`, { grant })).body, bytes);
  for (const [digest, bytes] of image.blobs) {
    const target = `${repository}/blobs/${digest}`;
    // Who reads along has a blob a moment before the cache has it for good.
    await waitFor(async () => (await core.ask(target, { grant })).headers['hubgate-cache'] === 'hit');
    assert.deepEqual(await core.blob(target, grant), bytes);
  }
}

test('what was fetched ahead is served with the upstream gone; a second call pulls nothing from it', async () => {
  const alpine = imageOf({ size: 300_000 });
  const multi = indexOf([imageOf(), imageOf()]);
  hub.push('library/alpine', '3', alpine);
  hub.push('acme/multi', 'latest', multi);
  const first = await warmed([
    'alpine:3',
    'docker.io/acme/multi',
    'library/alpine:3',
    `alpine@${alpine.digest}`,
  ]);
  assert.equal(first.code, 0, first.stderr);
  const [multiple, ...same] = first.results.toSorted((one, other) => one.image.localeCompare(other.image));
  assert.deepEqual([multiple.image, multiple.status], ['docker.io/acme/multi:latest', 'fetched']);
  assert.deepEqual(
    same.map(({ image }) => image),
    ['docker.io/library/alpine:3', `docker.io/library/alpine@${alpine.digest}`],
  );
  // One image by two names: the name that comes later finds all of it if the other one is done by then.
  assert.ok(same.some(({ status }) => status === 'fetched'));
  for (const { status } of same) assert.match(status, /^(?:fetched|cached)$/);
  assert.equal(manifestGets(), 4);
  await assertServed('library/alpine', '3', alpine);
  await assertServed('acme/multi', 'latest', multi);
  hub.log.length = 0;
  const second = await warmed(['alpine:3', 'acme/multi', `alpine@${alpine.digest}`]);
  assert.deepEqual(
    second.results.map(({ status }) => status),
    ['cached', 'cached', 'cached'],
  );
  assert.deepEqual(
    hub.log.filter(({ method, path: at }) => method === 'GET' && /\/(?:manifests|blobs)\//.test(at)),
    [],
  );
  await hub.stop();
  await core.restart();
  await assertServed('library/alpine', '3', alpine);
  await assertServed('acme/multi', 'latest', multi);
});

/**
 * How docker 29.1 and later, and cosign, are answered about what refers to a manifest: by the endpoint, then
 * by a tag.
 */
async function referrersOf({ digest }: TestImage, grant: string, suffix = ''): ReturnType<TestCore['ask']> {
  const listed = await core.ask(`acme/app/referrers/${digest}`, { grant });
  return listed.status === 404 || suffix !== ''
    ? core.ask(`acme/app/manifests/${digest.replace(':', '-')}${suffix}`, { grant })
    : listed;
}

for (const endpoint of [true, false])
  test(`an attested and signed image is all here, ${endpoint ? 'with' : 'without'} an endpoint for referrers upstream`, async () => {
    if (endpoint) hub.referrersPerPage = 50;
    const attestations = [attestationOf('{"of":"amd64"}'), attestationOf('{"of":"arm64"}')];
    const [amd64, arm64] = attestations as [TestImage, TestImage];
    const platforms = ['linux/amd64', 'linux/arm64', 'unknown/unknown', 'unknown/unknown'];
    const app = indexOf([imageOf(), imageOf(), ...attestations], platforms, { 2: 0, 3: 1 });
    hub.push('acme/app', '1', app);
    const signature = referrerOf(amd64, 'signature');
    if (endpoint) hub.push('acme/app', 'signature', signature);
    else hub.push('acme/app', amd64.digest.replace(':', '-'), indexOf([signature]));
    const cosign2 = imageOf();
    hub.push('acme/app', `${app.digest.replace(':', '-')}.sig`, cosign2);
    const { code, results, stderr } = await warmed(['acme/app:1']);
    assert.deepEqual([code, results[0]?.referrersKnown], [0, true], stderr);
    assert.ok(!hub.log.some(({ path: at }) => at.endsWith(arm64.digest)));
    await hub.stop();
    await core.restart();
    for (const grant of ['public', 'private']) {
      for (const { digest, bytes } of [amd64, signature, cosign2])
        assert.equal(
          String((await core.ask(`acme/app/manifests/${digest}`, { grant })).body),
          String(bytes),
          grant,
        );
      for (const digest of [...amd64.blobs, ...signature.blobs, ...cosign2.blobs].map(([one]) => one))
        await core.blob(`acme/app/blobs/${digest}`, grant);
      const listed = await referrersOf(amd64, grant);
      assert.deepEqual(
        JSON.parse(listed.body.toString()).manifests.map((one: { digest: string }) => one.digest),
        [signature.digest],
      );
      assert.equal((await referrersOf(app, grant, '.sig')).status, 200);
      assert.equal((await referrersOf(app, grant, '.att')).status, 404);
      assert.equal((await referrersOf(app, grant)).status, endpoint ? 200 : 404);
    }
  });

test('an image whose referrers cannot be asked for is here, and this is said', async () => {
  hub.push('acme/app', '1', imageOf());
  hub.plant('registry', /referrers/, { kind: 'status', status: 503 });
  const { code, stdout } = await run((terminal) => warm(['acme/app:1'], { home, json: false }, {}, terminal));
  assert.equal(code, 0);
  assert.match(stdout, /fetched .*; the upstream cannot be asked what refers to it, such as signatures$/m);
});

test('a private image is fetched as the account, and is no more public for it', async () => {
  const secret = imageOf();
  hub.push('acme/secret', '1', secret, { private: true });
  assert.deepEqual((await warmed(['acme/secret:1'])).statuses, { secret: 'fetched' });
  assert.equal((await core.ask('acme/secret/manifests/1')).status, 404);
  await assertServed('acme/secret', '1', secret, 'private');
});

test('of an index the manifests of the wanted platforms alone are fetched', async () => {
  const built = [imageOf(), imageOf(), imageOf(), imageOf()];
  hub.push(
    'acme/app',
    '1',
    indexOf(built, ['linux/amd64', 'linux/arm64', 'linux/arm/v7', 'unknown/unknown']),
  );
  hub.push('acme/arm', '1', indexOf([imageOf()], ['linux/arm64']));
  assert.equal((await warmed(['acme/app:1'])).code, 0);
  assert.equal(manifestGets(), 2);
  const more = await warmed(['acme/app:1'], { platform: ['linux/arm64/v8', 'linux/arm', 'linux/s390x'] });
  assert.deepEqual(more.results[0].missingPlatforms, ['linux/s390x']);
  assert.equal(manifestGets(), 4);
  await warmed(['acme/app:1'], { platform: ['all'] });
  assert.equal(manifestGets(), 5);
  const none = await warmed(['acme/arm:1']);
  assert.equal(none.code, 1);
  assert.equal(none.results[0].reason, 'it is not built for linux/amd64, but for linux/arm64');
});

test('a part of the quota is left to everybody else, and calling again goes on', async () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const cached = imageOf();
  for (const name of names) hub.push(`acme/${name}`, '1', name === 'h' ? cached : imageOf());
  await warmed(['acme/h:1']);
  await assertServed('acme/h', '1', cached);
  hub.remaining = 14;
  const images = names.map((name) => `acme/${name}:1`);
  const first = await warmed(images);
  assert.equal(first.code, 1);
  // The stand-in says what was left before the request that it answers; a tenth and at least 10 of 100 are
  // kept.
  assert.ok([9, 10].includes(hub.remaining), String(hub.remaining));
  assert.equal(first.statuses.h, 'cached');
  const left = names.length - 1 - (14 - hub.remaining);
  assert.equal(first.results.filter(({ status }) => status === 'left').length, left);
  assert.match(
    first.stderr,
    new RegExp(
      `^hubgate: docker\\.io: ${hub.remaining} of 100 pulls are left, which are kept for everybody else; all are back at 20\\S+Z at the latest\nhubgate: ${left} left to do; the same command goes on with them\n$`,
    ),
  );
  // Nobody has told the core that there is more again: the one HEAD that is free does.
  hub.remaining = 100;
  const second = await warmed(images);
  assert.deepEqual(
    [second.code, second.results.filter(({ status }) => status === 'fetched').length],
    [0, left],
  );
  assert.equal(hub.remaining, 100 - left);
});

test('what the policy reserves for others is left too, also of a quota that the configuration states', async () => {
  await core[Symbol.asyncDispose]();
  hub.isLimited = false;
  const socket = path.join(home, 'run/core/core.sock');
  core = await TestCore.start(hub, {
    ...{ socket, directory: path.join(home, 'data'), clock: Date.now },
    upstreams: [
      { host: DOCKER_HUB, url: hub.url, credential: ACCOUNT, quota: { pulls: 40, windowMs: 3_600_000 } },
    ],
  });
  await mkdir(path.join(home, 'config'));
  const reserve = 'reserve: [{ id: prod, upstream: docker.io, keep: 90%, for: ana }]';
  await writeFile(path.join(home, 'config/access.yaml'), `version: 1\nallow: []\n${reserve}\n...\n`);
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const name of names) hub.push(`acme/${name}`, '1', imageOf());
  const { code, results, stderr } = await warmed(names.map((name) => `acme/${name}:1`));
  assert.equal(code, 1);
  assert.equal(results.filter(({ status }) => status === 'fetched').length, 4);
  assert.match(stderr, /36 of 40 pulls are left, which are kept for everybody else/);
});

test('where the upstream limits, what is cached is still done and the rest is left', async () => {
  const cached = imageOf();
  for (const name of ['a', 'b']) hub.push(`acme/${name}`, '1', imageOf());
  hub.push('acme/c', '1', cached);
  await warmed(['acme/c:1']);
  await assertServed('acme/c', '1', cached);
  hub.plant('registry', /^GET .*manifests/, {
    kind: 'status',
    status: 429,
    headers: { 'retry-after': '90' },
  });
  const { code, statuses, stderr } = await warmed(['acme/a:1', 'acme/b:1', 'acme/c:1']);
  assert.deepEqual([code, statuses], [1, { a: 'left', b: 'left', c: 'cached' }]);
  assert.match(
    stderr,
    /docker\.io refuses for now, because it limits .* to try again in 90 s\nhubgate: 2 left/,
  );
});

test('trouble with one image does not stop the others', async () => {
  const good = imageOf();
  const broken = imageOf();
  hub.push('acme/good', '1', good);
  hub.push('acme/broken', '1', broken);
  hub.plant('cdn', new RegExp(String(broken.layers[0])), { kind: 'corrupt', at: 1 });
  const { code, statuses, results } = await warmed(['acme/none:1', 'acme/broken:1', 'acme/good:1']);
  assert.deepEqual([code, statuses], [1, { none: 'failed', broken: 'failed', good: 'fetched' }]);
  const reasons = results.flatMap(({ reason }) => reason ?? []).sort();
  assert.deepEqual(reasons, [
    'the fill failed',
    'the upstream has no such image, or does not show it to this mirror’s account',
  ]);
});

test('a cache that cannot be written is no place to fetch ahead into', async () => {
  hub.push('acme/app', '1', imageOf());
  await rm(path.join(home, 'data/partial'), { recursive: true });
  await writeFile(path.join(home, 'data/partial'), 'in the way');
  const { code, results, stderr } = await warmed(['acme/app:1']);
  assert.deepEqual([code, results[0].status], [1, 'failed']);
  assert.equal(results[0].reason, 'the cache cannot be written; the log of the core says why');
  assert.match(stderr, /^hubgate: the cache could not be written meanwhile/);
});

test('Ctrl-C ends at once; the core goes on with the download, and no byte of it comes twice', async () => {
  const image = imageOf({ size: 500_000 });
  hub.push('acme/big', '1', image);
  const gate = Promise.withResolvers<void>();
  const layer = new RegExp(String(image.layers[0]));
  hub.plant('cdn', layer, { kind: 'pause', at: 200_000, gate: gate.promise });
  const child = spawn(process.execPath, [BIN, 'warm', 'acme/big:1', '--home', home]);
  const exit = once(child, 'exit');
  const stderr = text(child.stderr);
  const fetching = () => hub.log.filter(({ server, path: at }) => server === 'cdn' && layer.test(at));
  await waitFor(() => (fetching()[0]?.bytes ?? 0) >= 200_000);
  child.kill('SIGINT');
  assert.deepEqual(await exit, [1, null]);
  assert.match(await stderr, /^hubgate: interrupted; 0 of 1 images are through\nhubgate: .* goes on/);
  gate.resolve();
  const again = await warmed(['acme/big:1']);
  assert.equal(again.code, 0);
  assert.deepEqual(
    fetching().map(({ bytes }) => bytes),
    [500_000],
  );
  assert.equal(manifestGets(), 1);
});

test('a core that is started again in the middle is asked again, and goes on where it was', async () => {
  const image = imageOf({ size: 500_000 });
  hub.push('acme/big', '1', image);
  const layer = new RegExp(String(image.layers[0]));
  hub.plant('cdn', layer, { kind: 'pause', at: 200_000, gate: new Promise(() => {}) }, 1);
  const warming = warmed(['acme/big:1']);
  const fetching = () => hub.log.filter(({ server, path: at }) => server === 'cdn' && layer.test(at));
  const partials = path.join(home, 'data/partial');
  await waitFor(async () => {
    const files = (await readdir(partials)).map((name) =>
      stat(path.join(partials, name)).catch(() => undefined),
    );
    return (await Promise.all(files)).some((file) => file !== undefined && file.size > 100_000);
  });
  await core.restart();
  const { code, results } = await warming;
  assert.deepEqual([code, results[0]?.reason], [0, undefined]);
  assert.equal(fetching().length, 2);
  assert.ok((fetching()[1]?.bytes ?? 0) < 500_000);
});

test('without a core, and with mistakes, nothing is begun', async () => {
  const nowhere = await run((terminal) =>
    warm(['alpine'], { home: '/nonexistent', json: false }, {}, terminal),
  );
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.stderr, /^hubgate: no core runs here: nothing answers on /);
  const wrong = await warmed(['alpine', 'Alpine', 'ghcr.io/acme/x'], { platform: ['linux'] });
  assert.deepEqual([wrong.code, wrong.stdout], [2, '']);
  assert.deepEqual(
    wrong.stderr
      .trim()
      .split('\n')
      .map((line) => line.split(':')[0]),
    ['--platform', 'argument 2', 'argument 3'],
  );
  assert.deepEqual(hub.takeRequests(), []);
});

test('somebody at a terminal sees how far it is; in a log there is a line for each image', async () => {
  const alpine = imageOf({ size: 300_000 });
  hub.push('library/alpine', '3', alpine);
  const command = () => (terminal: Parameters<Parameters<typeof run>[0]>[0]) =>
    warm(['alpine:3'], { home, json: false }, {}, terminal);
  const seen = await run(command(), { columns: 40 });
  assert.match(
    seen.stdout,
    /^images: 1, for linux\/amd64\ndocker\.io\/library\/alpine:3 {2}fetched .*\nimages: 1 fetched \(.*\), 0 here already, 0 failed, 0 left\n$/,
  );
  assert.match(seen.stderr, /\[#{24}\] {2}1 of 1 i/);
  assert.ok(seen.stderr.endsWith('\x1b[J'));
  assert.ok(seen.stderr.split('\n').every((line) => line.length < 50));
  await assertServed('library/alpine', '3', alpine);
  const logged = await run(command());
  assert.deepEqual([logged.code, logged.stderr], [0, '']);
  assert.match(logged.stdout, /^docker\.io\/library\/alpine:3 {2}is here already, 293\.0 KiB$/m);
});
