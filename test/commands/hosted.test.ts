import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { isAuditCount, parseAuditLine, type StoredAuditLine } from '../../src/protocol/audit-line.ts';
import { digestOf, HostedCore, OCI_INDEX } from '../support/hosted-core.ts';
import { TestCore } from '../support/test-core.ts';
import { runVerb } from './support/terminal.ts';

let home: string;
let socket: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-hosted-'));
  await mkdir(path.join(home, 'run/core'), { recursive: true });
  socket = path.join(home, 'run/core/core.sock');
});

afterEach(() => rm(home, { recursive: true }));

const verbOf = (...args: string[]) => runVerb(['hosted', ...args, '--home', home]);
const index = (text: string) =>
  JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], annotations: { text } });

async function audited(): Promise<StoredAuditLine[]> {
  const text = await readFile(path.join(home, 'state/audit.log'), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((one) => {
      const line = parseAuditLine(one);
      return line === undefined || isAuditCount(line) ? assert.fail(one) : line;
    });
}

test('the hosted repositories are listed with their quota, and their tags with their history', async () => {
  await using core = await HostedCore.start({ quota: 1024 }, {}, undefined, { socket });
  for (const text of ['first', 'second']) await core.pushManifest('latest', index(text));
  const [first, second] = [digestOf(index('first')), digestOf(index('second'))];
  const list = await verbOf('list');
  assert.match(list.stdout, /^acme\/\*\*: \d+ bytes of 1\.0 KiB\n/);
  assert.match(list.stdout, /\nacme\/app +1 +\d+ bytes\n/);
  assert.deepEqual(JSON.parse((await verbOf('list', '--json')).stdout).repositories[0].tags, 1);
  assert.match((await verbOf('tags', 'acme/app')).stdout, new RegExp(`latest +2026-.* ${second}`));
  const changes = (await verbOf('tags', 'acme/app:latest')).stdout.trim().split('\n').slice(1);
  assert.match(changes[0] ?? '', new RegExp(`user:ana +${second} +${first}$`));
  assert.match(changes[1] ?? '', new RegExp(`user:ana +${first} +new$`));
  const none = await verbOf('tags', 'acme/none');
  assert.deepEqual([none.code, none.stderr], [1, 'hubgate: nobody has pushed to "acme/none" here\n']);
});

test('a tag is restored, or the verb says why not', async () => {
  await using core = await HostedCore.start({}, {}, undefined, { socket });
  for (const text of ['first', 'second']) await core.pushManifest('latest', index(text));
  const restored = await verbOf('restore-tag', 'acme/app:latest');
  assert.equal(restored.stdout, `acme/app:latest means ${digestOf(index('first'))} again\n`);
  const tag = await core.read('manifests/latest');
  assert.equal(tag.headers['docker-content-digest'], digestOf(index('first')));
  await core.write('DELETE', `manifests/${digestOf(index('second'))}`);
  const gone = await verbOf('restore-tag', 'acme/app:latest');
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /has been removed/);
  assert.match((await verbOf('restore-tag', 'acme/app:other')).stderr, /has no earlier digest/);
  assert.equal((await verbOf('restore-tag', 'acme/app')).code, 2);
  const [undone, failed] = await audited();
  assert.deepEqual(
    [undone?.subject, undone?.action, undone?.tag, undone?.digest, undone?.previous, undone?.status],
    ['operator', 'push', 'latest', digestOf(index('first')), digestOf(index('second')), 201],
  );
  assert.equal(failed?.status, 404);
});

test('a dry run says what would go and why, and nothing goes', async () => {
  await using core = await HostedCore.start({}, {}, undefined, { socket });
  const digest = await core.pushBlob('abandoned');
  assert.match(
    (await verbOf('gc', '--dry-run')).stdout,
    /wait until 2026-11-23T.* its manifest may still come/,
  );
  core.core.now += 24 * 60 * 60_000 + 1;
  const dry = await verbOf('gc', '--dry-run');
  assert.match(dry.stdout, new RegExp(`acme/app +${digest} +remove-blob +no manifest names it`));
  assert.equal((await core.read(`blobs/${digest}`)).status, 200);
  assert.equal((await verbOf('gc')).code, 0);
  assert.equal((await core.read(`blobs/${digest}`)).status, 404);
  assert.equal((await verbOf('gc')).stdout, 'nothing is to be removed\n');
});

test('where nothing is hosted, the verbs say so', async () => {
  await using core = await TestCore.start({ url: new URL('http://127.0.0.1:1') }, { socket });
  assert.ok(core.directory);
  const list = await verbOf('list');
  assert.deepEqual([list.code, list.stdout], [1, '']);
  assert.match(list.stderr, /nothing is hosted here/);
});

test('a tag is deleted; an immutable one only by force, and its history says so', async () => {
  await using core = await HostedCore.start({ immutableTags: ['v*'] }, {}, undefined, { socket });
  for (const tag of ['dev', 'v1']) await core.pushManifest(tag, index(tag));
  assert.equal((await verbOf('delete', 'acme/app:dev')).stdout, 'acme/app:dev is deleted\n');
  assert.equal((await core.read('manifests/dev')).status, 404);
  const refused = await verbOf('delete', 'acme/app:v1');
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /^hubgate: the tag v1 is immutable since .*; to delete it nevertheless, use --force/,
  );
  const byDigest = `acme/app@${digestOf(index('v1'))}`;
  assert.equal((await verbOf('delete', byDigest)).code, 1);
  assert.equal((await core.read('manifests/v1')).status, 200);
  assert.equal((await verbOf('delete', byDigest, '--force')).stdout, `${byDigest} is deleted\n`);
  assert.equal((await core.read('manifests/v1')).status, 404);
  assert.match((await verbOf('tags', 'acme/app:v1')).stdout, /operator +deleted/);
  assert.equal((await verbOf('delete', 'acme/app:v1')).stderr, 'hubgate: there is no acme/app:v1 here\n');
  assert.equal((await verbOf('delete', 'acme/app')).code, 2);
  const [dev, v1] = ['dev', 'v1'].map((tag) => digestOf(index(tag)));
  const lines = await audited();
  assert.ok(lines.every(({ action, subject }) => action === 'delete' && subject === 'operator'));
  assert.deepEqual(
    lines.map((line) => [line.tag, line.digest, line.previous, line.status]),
    [
      ['dev', undefined, dev, 202],
      ['v1', undefined, undefined, 409],
      [undefined, v1, undefined, 409],
      [undefined, v1, undefined, 202],
      ['v1', undefined, undefined, 404],
    ],
  );
});
