import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { NamespaceRules } from '../../src/core/hosted/namespace.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { HostedCore } from '../support/hosted-core.ts';
import { imageOf, referrerOf } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { runVerb } from './support/terminal.ts';

let home: string;
let hub: FakeHub;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-promote-'));
  await mkdir(path.join(home, 'run/core'), { recursive: true });
  await mkdir(path.join(home, 'config'));
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: ['acme/secret'] });
  const settings = `
upstreams: { docker.io: { url: "${hub.url.origin}" } }
cache: { directory: data }
hosted: { directory: hosted, namespaces: { "base/**": {} } }
`;
  await writeFile(path.join(home, 'config/hubgate.yaml'), settings);
});

afterEach(async () => {
  await hub[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

const promote = (...args: string[]) => runVerb(['promote', ...args, '--home', home]);

function startCore(rules: Partial<NamespaceRules> = {}): Promise<HostedCore> {
  const socket = path.join(home, 'run/core/core.sock');
  return HostedCore.start({ name: 'base', ...rules }, {}, hub, {
    socket,
    directory: path.join(home, 'data'),
  });
}

const NGINX = { repository: 'base/nginx' };

test('an image is promoted under its digest, with its signature, and its tag says from where', async () => {
  const image = imageOf();
  const { digest } = image;
  const signature = imageOf();
  hub.push('library/nginx', '1.27', image);
  hub.push('library/nginx', `${digest.replace(':', '-')}.sig`, signature);
  hub.referrersPerPage = 10;
  const sbom = referrerOf(image, 'sbom');
  hub.push('library/nginx', 'sbom', sbom);
  await using core = await startCore();
  const source = `docker.io/library/nginx@${digest}`;
  const done = await promote(source, 'base/nginx:1.27');
  assert.equal(done.code, 0, done.stderr);
  assert.equal(done.stdout.split('\n')[0], `base/nginx:1.27 is ${source} (${digest})`);
  const tag = await core.read('manifests/1.27', NGINX);
  assert.equal(tag.headers['docker-content-digest'], digest);
  const signed = await core.read(`manifests/${digest.replace(':', '-')}.sig`, NGINX);
  assert.equal(signed.headers['docker-content-digest'], signature.digest);
  const referrers = await core.read(`referrers/${digest}`, NGINX);
  assert.deepEqual(
    JSON.parse(referrers.body.toString()).manifests.map((one: { digest: string }) => one.digest),
    [sbom.digest],
  );
  for (const layer of image.layers) assert.equal((await core.read(`blobs/${layer}`, NGINX)).status, 200);
  const history = await runVerb(['hosted', 'tags', 'base/nginx:1.27', '--home', home]);
  assert.match(history.stdout, new RegExp(`promote ${source}`));
  // It can be repeated.
  assert.equal((await promote(source, 'base/nginx:1.27')).code, 0);
});

test('the image stays when the cache forgets it and the upstream is gone', async () => {
  const image = imageOf();
  hub.push('library/nginx', '1.27', image);
  await using core = await startCore();
  const done = await promote('docker.io/library/nginx:1.27', 'base/nginx:1.27');
  assert.equal(done.code, 0, done.stderr);
  assert.equal(await core.core.purge('docker.io/library/nginx'), 200);
  hub.removeTag('library/nginx', '1.27');
  assert.equal((await core.read('manifests/1.27', NGINX)).status, 200);
  assert.equal((await core.read(`blobs/${image.layers[0]}`, NGINX)).status, 200);
});

test('a dry run says what would be promoted, and hosts nothing', async () => {
  hub.push('library/nginx', '1.27', imageOf());
  await using core = await startCore();
  const dry = await promote('docker.io/library/nginx:1.27', 'base/nginx:1.27', '--dry-run');
  assert.match(dry.stdout, /^base\/nginx:1\.27 would be docker\.io\/library\/nginx:1\.27 \(sha256:/);
  assert.equal((await core.read('manifests/1.27', NGINX)).status, 404);
});

test('a file names several, and one that fails does not stop the others', async () => {
  hub.push('library/nginx', '1.27', imageOf());
  await using core = await startCore();
  const file = path.join(home, 'list.txt');
  await writeFile(
    file,
    '# what production uses\nlibrary/missing:1 base/missing:1\n\nlibrary/nginx:1.27   base/nginx:1.27 # web\n',
  );
  const done = await promote('--file', file);
  assert.equal(done.code, 1);
  assert.match(done.stderr, /^hubgate: library\/missing:1 is not promoted: there is no such image/);
  assert.equal((await core.read('manifests/1.27', NGINX)).status, 200);
  await writeFile(file, 'library/nginx:1.27\n');
  const wrong = await promote('--file', file);
  assert.deepEqual([wrong.code, wrong.stderr], [2, `hubgate: ${file}:1: a line has a source and a target\n`]);
});

test('an immutable tag is not moved, and the registry’s words say why', async () => {
  await using core = await startCore({ immutableTags: ['*'] });
  hub.push('library/nginx', '1.27', imageOf());
  assert.equal((await promote('library/nginx:1.27', 'base/nginx:1')).code, 0);
  const before = (await core.read('manifests/1', NGINX)).headers['docker-content-digest'];
  hub.push('library/nginx', 'other', imageOf());
  const refused = await promote('library/nginx:other', 'base/nginx:1');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /is not promoted: the tag 1 is immutable since/);
  assert.equal((await core.read('manifests/1', NGINX)).headers['docker-content-digest'], before);
});

test('names that mean something else are refused before anything is read', async () => {
  for (const [args, words] of [
    [['library/nginx:1.27'], 'name a source and a target'],
    [['library/nginx', 'base/nginx:1'], '"library/nginx" has neither a tag nor a digest'],
    [['library/nginx:1.27', 'library/nginx:1'], '"library/nginx:1" is no tag of a hosted repository'],
    [['library/nginx:1.27', 'base/nginx'], '"base/nginx" is no tag of a hosted repository'],
  ] as const) {
    const { code, stderr } = await promote(...args);
    assert.equal(code, 2, args.join(' '));
    assert.ok(stderr.includes(words), stderr);
  }
});
