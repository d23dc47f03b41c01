/** A backup of a mirror that people use meanwhile, and the mirror that is made of it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { shareCompiled } from '../support/compiled.ts';
import type { TestRequest } from '../support/http.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { basic } from '../support/test-hubgate.ts';
import { runVerb } from './support/terminal.ts';

const CONFIG = `server: { url: https://mirror.test, names: [localhost] }
hosted: { namespaces: { "acme/**": {} } }
`;
const POLICY = `version: 1
allow:
  - { push: acme/**, to: ci }
  - { pull: acme/**, to: [ana, "cert:node-7"] }
...
`;
const PASSWORD = 'the old password of ana';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const APP = '/v2/acme/app';

let directory: string;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-backup-mirror-'));
});

after(() => rm(directory, { recursive: true }));

const digestOf = (bytes: string | Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

async function mustRun(mirror: RunningMirror, typed: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runVerb([...args, '--home', mirror.home], { typed });
  assert.equal(code, 0, `hubgate ${args.join(' ')}: ${stderr}`);
  return stdout;
}

async function mustAsk(mirror: RunningMirror, target: string, request: TestRequest, status = 200) {
  const answer = await mirror.ask(target, request);
  assert.equal(answer.status, status, `${request.method ?? 'GET'} ${target}: ${answer.body}`);
  return answer;
}

async function pushBlob(mirror: RunningMirror, bytes: string, headers: Record<string, string>) {
  const target = `${APP}/blobs/uploads/?digest=${digestOf(bytes)}`;
  const length = String(Buffer.byteLength(bytes));
  const sent = { method: 'POST', send: bytes, headers: { ...headers, 'content-length': length } };
  await mustAsk(mirror, target, sent, 201);
  return { digest: digestOf(bytes), size: Buffer.byteLength(bytes) };
}

/** Pushes an image whose layer no other one has. */
async function pushImage(mirror: RunningMirror, tag: string, headers: Record<string, string>): Promise<void> {
  const config = await pushBlob(mirror, '{}', headers);
  const layer = await pushBlob(mirror, `the layer of ${tag}`, headers);
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer }],
  };
  const request = {
    method: 'PUT',
    send: JSON.stringify(manifest),
    headers: { ...headers, 'content-type': MANIFEST },
  };
  await mustAsk(mirror, `${APP}/manifests/${tag}`, request, 201);
}

async function tokenOf(mirror: RunningMirror, user: string, password: string): Promise<string> {
  const target = '/token?service=mirror.test&scope=repository:acme/app:pull';
  const { body } = await mustAsk(mirror, target, { headers: { authorization: basic(user, password) } });
  return JSON.parse(body.toString()).token;
}

/** Pulls every tag with all that belongs to it, and returns the tags. */
async function pullAll(mirror: RunningMirror, headers: Record<string, string>): Promise<string[]> {
  const { body } = await mustAsk(mirror, `${APP}/tags/list`, { headers });
  const { tags } = JSON.parse(body.toString()) as { tags: string[] };
  for (const tag of tags) {
    const manifest = await mustAsk(mirror, `${APP}/manifests/${tag}`, { headers });
    const { config, layers } = JSON.parse(manifest.body.toString());
    for (const { digest } of [config, ...layers]) {
      const blob = await mustAsk(mirror, `${APP}/blobs/${digest}`, { headers });
      assert.equal(digestOf(blob.body), digest);
    }
  }
  return tags;
}

/** Adds users, each with a token, one after the other. */
async function addOwners(mirror: RunningMirror, count: number): Promise<void> {
  for (let number = 1; number <= count; number++) {
    await mustRun(mirror, '', 'user', 'add', `ci-${number}`, '--service');
    await mustRun(mirror, '', 'token', 'create', `ci-${number}`, '--expires', '30d');
  }
}

test('a backup during pushes, new users and new tokens restores to a mirror in which all old logins work', async () => {
  const backup = path.join(directory, 'backup');
  const node = path.join(directory, 'node-7');
  let ci = '';
  let signed = '';
  {
    await using mirror = await RunningMirror.start({
      config: CONFIG,
      policy: POLICY,
      prepare: async (one) => {
        await mustRun(one, PASSWORD, 'user', 'add', 'ana', '--password-stdin');
        await mustRun(one, '', 'user', 'add', 'ci', '--service');
        ci = JSON.parse(await mustRun(one, '', 'token', 'create', 'ci', '--expires', '30d', '--json')).token;
      },
    });
    await mustRun(mirror, '', 'cert', 'issue', 'node-7', '--out', node);
    signed = await tokenOf(mirror, 'ana', PASSWORD);
    const headers = { authorization: basic('ci', ci) };
    await pushImage(mirror, 'first', headers);
    const working = Promise.all([
      addOwners(mirror, 5),
      ...Array.from({ length: 10 }, (_, number) => pushImage(mirror, `p${number}`, headers)),
    ]);
    await mustRun(mirror, '', 'backup', backup);
    await working;
  }
  await using restored = await RunningMirror.start({
    prepare: async ({ home }) => {
      // The directory of a mirror that a test starts has compiled code.
      await rm(path.join(home, 'run'), { recursive: true });
      const { code, stderr } = await runVerb(['restore', backup, '--home', home]);
      assert.equal(code, 0, stderr);
      await shareCompiled(home);
    },
  });
  const tags = await pullAll(restored, { authorization: basic('ci', ci) });
  assert.ok(tags.includes('first'));
  const onto = await runVerb(['restore', backup, '--home', restored.home]);
  assert.equal(onto.code, 1);
  assert.match(onto.stderr, /is not empty .*; stop the mirror, and name a new home/);
  await mustAsk(restored, `${APP}/manifests/first`, { headers: { authorization: `Bearer ${signed}` } });
  assert.notEqual(await tokenOf(restored, 'ana', PASSWORD), signed);
  const [cert, key] = await Promise.all(
    ['client.cert', 'client.key'].map((file) => readFile(path.join(node, file), 'utf8')),
  );
  await mustAsk(restored, `${APP}/manifests/first`, { cert, key });
  const users = JSON.parse(await mustRun(restored, '', 'user', 'list', '--json')) as { name: string }[];
  const tokens = JSON.parse(await mustRun(restored, '', 'token', 'list', '--json')) as { owner: string }[];
  const names = users.map(({ name }) => name);
  assert.ok(
    tokens.every(({ owner }) => names.includes(owner)),
    'each token has its owner',
  );
});
