import assert from 'node:assert/strict';
import { access, mkdir, mkdtemp, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { openHosted } from '../../src/core/hosted/hosted.ts';
import { HostedCore } from '../support/hosted-core.ts';
import { QUIET } from '../support/test-core.ts';
import { runVerb } from './support/terminal.ts';

let home: string;
let socket: string;
let backup: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-backup-'));
  socket = path.join(home, 'run/core/core.sock');
  backup = path.join(home, 'backup');
  await mkdir(path.dirname(socket), { recursive: true });
  await mkdir(path.join(home, 'config'));
  const settings = 'hosted: { directory: hosted, namespaces: { "acme/**": {} } }\n';
  await writeFile(path.join(home, 'config/hubgate.yaml'), settings);
});

afterEach(() => rm(home, { recursive: true }));

const verbOf = (...args: string[]) => runVerb(['hosted', ...args, '--home', home]);

test('a backup that is taken during pushes restores to a registry in which every tag pulls completely', async () => {
  await using core = await HostedCore.start({}, {}, undefined, { socket });
  await core.pushImage('1', 'layer 1');
  const pushing = Promise.all(
    Array.from({ length: 20 }, (_, at) => core.pushImage(`p${at}`, `layer p${at}`)),
  );
  const taken = await verbOf('backup', backup);
  assert.equal(taken.code, 0, taken.stderr);
  await pushing;
  const restored = await verbOf('restore', backup);
  assert.equal(restored.code, 0, restored.stderr);
  assert.match(restored.stdout, /^blobs: \d+, manifests: \d+; all are whole\nrestored into .*\/hosted\n$/);

  await using hosted = await openHosted(
    { directory: path.join(home, 'hosted'), namespaces: [{ name: 'acme', immutableTags: [] }] },
    QUIET,
  );
  const tags = (await hosted.tags.list('acme/app')) ?? [];
  assert.ok(tags.some(({ tag }) => tag === '1'));
  for (const { digest } of tags) {
    const children = await hosted.database.read(function* (select) {
      const id = (yield* select.repository.get('acme/app'))?.id ?? 0;
      return yield* select.children.all(id, digest);
    });
    assert.equal(children.length, 2);
    for (const { child } of children) await access(hosted.files?.pathOf(child) ?? child);
  }
});

test('nothing is removed while a backup is taken', async () => {
  await using hosted = await openHosted(
    { directory: path.join(home, 'hosted'), namespaces: [{ name: 'acme', immutableTags: [] }] },
    QUIET,
  );
  const order: string[] = [];
  let collecting: Promise<unknown> | undefined;
  await hosted.collection.withoutRemovals(async () => {
    collecting = hosted.collection.collect().then(() => order.push('collected'));
    await hosted.database.change(({ change }) => change.addRepository.run('acme/app'));
    order.push('backed up');
  });
  await collecting;
  assert.deepEqual(order, ['backed up', 'collected']);
});

test('a backup without the file of a blob is no backup', async () => {
  await using core = await HostedCore.start({}, {}, undefined, { socket });
  await unlink(fileOf(core, await core.pushBlob('missing')));
  assert.equal((await verbOf('backup', backup)).code, 1);
  await assert.rejects(access(path.join(backup, 'VERSION')));
});

test('verify names what is damaged, and the repository that has it', async () => {
  await using core = await HostedCore.start({}, {}, undefined, { socket });
  const [missing, short, wrong] = [
    await core.pushBlob('missing'),
    await core.pushBlob('too short'),
    await core.pushBlob('changed'),
  ];
  assert.equal((await verbOf('verify')).stdout, 'blobs: 3, manifests: 0; all are whole\n');
  await unlink(fileOf(core, missing));
  await truncate(fileOf(core, short), 3);
  await writeFile(fileOf(core, wrong), 'CHANGED');
  const { code, stdout, stderr } = await verbOf('verify');
  assert.equal(code, 1);
  assert.equal(stdout, 'blobs: 3, manifests: 0; damaged: 3\n');
  assert.deepEqual(
    stderr.trim().split('\n').sort(),
    [
      `hubgate: acme/app ${missing}: its file is missing`,
      `hubgate: acme/app ${short}: its file has 3 bytes instead of 9`,
      `hubgate: acme/app ${wrong}: its bytes are not those of its digest`,
    ].sort(),
  );
});

test('neither a backup nor a restore writes over anything', async () => {
  await using core = await HostedCore.start({}, {}, undefined, { socket });
  await core.pushImage('1', 'layer');
  await mkdir(backup);
  await writeFile(path.join(backup, 'mine'), 'mine');
  const refused = await verbOf('backup', backup);
  assert.deepEqual(
    [refused.code, refused.stderr],
    [1, `hubgate: ${backup} is not empty; name a new directory\n`],
  );
  const incomplete = await verbOf('restore', backup);
  assert.equal(incomplete.stderr, `hubgate: ${backup} is not a complete backup: VERSION is missing\n`);
  await rm(backup, { recursive: true });
  assert.equal((await verbOf('backup', backup)).code, 0);
  await mkdir(path.join(home, 'hosted'));
  await writeFile(path.join(home, 'hosted/mine'), 'mine');
  const taken = await verbOf('restore', backup);
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /hosted is not empty, and nothing is overwritten; move it away first\n$/);
  assert.equal(await readFile(path.join(home, 'hosted/mine'), 'utf8'), 'mine');
});

function fileOf({ directory }: HostedCore, digest: string): string {
  const [, hex = ''] = digest.split(':');
  return path.join(directory, 'blobs/sha256', hex.slice(0, 2), hex);
}
