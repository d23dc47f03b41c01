import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { NamespaceRules } from '../../src/core/hosted/namespace.ts';
import { parseAuditLine } from '../../src/protocol/audit-line.ts';
import { readAuditLog } from '../support/audit-log.ts';
import { FakeHub } from '../support/fake-hub.ts';
import {
  digestOf,
  HostedCore,
  imageOf as hostedImage,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../support/hosted-core.ts';
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

/** Starts a core whose hosted content the verb finds, as a source. */
async function startHostedSource(): Promise<HostedCore> {
  const core = await startCore();
  const settings = path.join(home, 'config/hubgate.yaml');
  const written = await readFile(settings, 'utf8');
  await writeFile(settings, written.replace('directory: hosted', `directory: ${core.directory}`));
  return core;
}

test('all referrers of a hosted image come along, also those after the first page of their list', async () => {
  await using core = await startHostedSource();
  const source = { repository: 'base/many' };
  const image = await core.pushImage('1.0', 'layer', source);
  const subject = { mediaType: OCI_MANIFEST, digest: digestOf(image), size: image.length };
  const pushed: string[] = [];
  for (const at of ['1', '2', '3']) {
    const annotations = { at, text: 'x'.repeat(1_500_000) };
    const referrer = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], subject, annotations };
    pushed.push(digestOf(JSON.stringify(referrer)));
    assert.equal((await core.pushManifest(pushed.at(-1) ?? '', referrer, source)).status, 201);
  }
  const done = await promote('base/many:1.0', 'base/promoted:1.0');
  assert.equal(done.code, 0, done.stderr);
  for (const digest of pushed)
    assert.equal((await core.read(`manifests/${digest}`, { repository: 'base/promoted' })).status, 200);
});

test('a layer of a hosted image that need not be there comes along if it is there', async () => {
  await using core = await startHostedSource();
  const [source, target] = [{ repository: 'base/windows' }, { repository: 'base/promoted' }];
  const config = await core.pushBlob('{}', source);
  const [layer, elsewhere] = [await core.pushBlob('a base layer', source), digestOf('elsewhere')];
  const mediaType = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
  const layers = [layer, elsewhere].map((digest) => ({ mediaType, digest, size: 12 }));
  const image = hostedImage(config, layer, 12, { layers });
  assert.equal((await core.pushManifest('1.0', image, source)).status, 201);
  const done = await promote('base/windows:1.0', 'base/promoted:1.0');
  assert.equal(done.code, 0, done.stderr);
  assert.equal((await core.read('manifests/1.0', target)).status, 200);
  assert.equal((await core.read(`blobs/${layer}`, target)).status, 200);
  assert.equal((await core.read(`blobs/${elsewhere}`, target)).status, 404);
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

function audited(): Promise<Record<string, unknown>[]> {
  return readAuditLog(path.join(home, 'state/audit.log'));
}

test('a promotion is audited, whether it is made or refused, and so is its promoter', async () => {
  const image = imageOf();
  hub.push('library/nginx', '1.27', image);
  await using _core = await startCore({ immutableTags: ['*'] });
  assert.equal((await promote('library/nginx:1.27', 'base/nginx:1')).code, 0);
  hub.push('library/nginx', 'other', imageOf());
  assert.equal((await promote('library/nginx:other', 'base/nginx:1')).code, 1);
  assert.equal((await promote('library/nginx:other', 'base/nginx:2', '--dry-run')).code, 0);
  const [made, refused, ...more] = await audited();
  assert.deepEqual(more, []);
  const { time: _, milliseconds, level: __, ...said } = made ?? {};
  assert.equal(typeof milliseconds, 'number');
  assert.deepEqual(said, {
    ...{ action: 'promote', subject: 'operator', credential: 'operator', address: 'local', method: 'PUT' },
    ...{ repository: 'hosted/base/nginx', tag: '1', digest: image.digest },
    ...{ from: 'docker.io/library/nginx:1.27', decision: 'allow', status: 201 },
  });
  assert.deepEqual([refused?.decision, refused?.status], ['allow', 409]);
  for (const line of await audited()) assert.notEqual(parseAuditLine(JSON.stringify(line)), undefined);
  const listed = await runVerb(['audit', '--subject', 'operator', '--home', home]);
  assert.match(listed.stdout, /allow +201 +operator +local +promote +hosted\/base\/nginx:1/);
});

test('a promotion that replaces a tag says in the audit log what the tag meant before', async () => {
  const [first, second] = [imageOf(), imageOf()];
  hub.push('library/nginx', '1', first);
  hub.push('library/nginx', '2', second);
  await using _core = await startCore();
  for (const tag of ['1', '2']) assert.equal((await promote(`library/nginx:${tag}`, 'base/nginx:1')).code, 0);
  const lines = await audited();
  assert.deepEqual(
    lines.map(({ digest, previous }) => [digest, previous]),
    [
      [first.digest, undefined],
      [second.digest, first.digest],
    ],
  );
});

test('nothing is promoted that cannot be audited', async () => {
  hub.push('library/nginx', '1', imageOf());
  await using core = await startCore();
  await mkdir(path.join(home, 'state/audit.log'), { recursive: true });
  assert.notEqual((await promote('library/nginx:1', 'base/nginx:1')).code, 0);
  assert.equal((await core.read('manifests/1', NGINX)).status, 404);
});

const POLICY = `version: 1
allow:
  - { id: look, pull: library/**, to: [ana, bo] }
  - { id: own, pull: acme/secret, to: [ana] }
  - { id: secret, pull: acme/secret, to: [ci], private: true }
  - { id: up, push: base/**, tags: ["1*", "sha256-*"], to: [ana, ci] }
deny:
  - { id: freeze, push: base/**, tags: ["1.9"], to: authenticated, because: "release freeze, ask #rel" }
...
`;

/** Nobody logs in here, so nobody knows the password. */
const HASH = '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g';

async function writePolicy(): Promise<void> {
  await writeFile(path.join(home, 'config/access.yaml'), POLICY);
  const [person, gone] = [`{ password: '${HASH}' }`, '{ service: true, disabled: true }'];
  const users = `version: 1\nusers: { ana: ${person}, bo: ${person}, ci: { service: true }, old: ${gone} }\n`;
  await writeFile(path.join(home, 'config/users.yaml'), users, { mode: 0o600 });
}

test('the policy decides for the one who is named, about the source and about the tag of the target', async () => {
  await writePolicy();
  hub.push('library/nginx', '1', imageOf());
  hub.push('acme/secret', '1', imageOf(), { private: true });
  await using core = await startCore();
  assert.equal((await promote('library/nginx:1', 'base/nginx:1', '--as', 'ana')).code, 0);
  assert.equal((await core.read('manifests/1', NGINX)).status, 200);
  const refusals: [who: string, source: string, target: string, why: RegExp][] = [
    ['bo', 'library/nginx:1', 'base/bo:1', /user:bo may not push hosted\/base\/bo:1: no rule allows it/],
    ['ana', 'library/nginx:1', 'base/nginx:2', /user:ana may not push hosted\/base\/nginx:2: no rule/],
    ['ana', 'library/nginx:1', 'base/nginx:1.9', /the rule freeze refuses it \(release freeze, ask #rel\)/],
    ['ci', 'library/nginx:1', 'base/ci:1', /service:ci may not pull docker\.io\/library\/nginx:1: no rule/],
    // Without private: true a rule does not reach a private repository, which then seems not to be there.
    ['ana', 'acme/secret:1', 'base/secret:1', /there is no such image/],
  ];
  for (const [who, source, target, why] of refusals) {
    const done = await promote(source, target, '--as', who);
    assert.deepEqual([done.code, why.test(done.stderr)], [1, true], `${who} ${target}: ${done.stderr}`);
    const [repository = '', tag = ''] = target.split(':');
    assert.equal((await core.read(`manifests/${tag}`, { repository })).status, 404, target);
  }
  assert.equal((await promote('acme/secret:1', 'base/secret:1', '--as', 'ci')).code, 0);
  const lines = await audited();
  assert.deepEqual(
    lines.map(({ subject, rule, decision, status }) => [subject, rule, decision, status]),
    [
      ['user:ana', 'up', 'allow', 201],
      ['user:bo', undefined, 'deny', 403],
      ['user:ana', undefined, 'deny', 403],
      ['user:ana', 'freeze', 'deny', 403],
      ['service:ci', undefined, 'deny', 403],
      ['user:ana', 'up', 'allow', 404],
      ['service:ci', 'up', 'allow', 201],
    ],
  );
  const history = await runVerb(['hosted', 'tags', 'base/nginx:1', '--home', home]);
  assert.match(history.stdout, /user:ana: promote library\/nginx:1/);
});

test('only somebody who exists and is not disabled can be named', async () => {
  await writePolicy();
  hub.push('library/nginx', '1', imageOf());
  await using _core = await startCore();
  for (const [who, words] of [
    ['zoe', 'nobody in users.yaml is called so'],
    ['old', 'disabled in users.yaml'],
    ['anonymous', 'no subject'],
  ] as const) {
    const done = await promote('library/nginx:1', 'base/nginx:1', '--as', who);
    assert.deepEqual([done.code, done.stderr.includes(words)], [2, true], done.stderr);
  }
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
