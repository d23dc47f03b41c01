import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { policyCopy } from '../../src/auth/shared-files.ts';

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-shared-'));
  file = path.join(directory, 'config/access.yaml');
  await mkdir(path.join(directory, 'config'));
});

afterEach(() => rm(directory, { recursive: true }));

function copy() {
  return policyCopy({ file, isInForce: async () => true, clock: () => 0 });
}

test('a policy is written with all its files, and files that it has no more are removed', async () => {
  const text = JSON.stringify({ 'access.d/a.yaml': 'a: 1\n', 'access.yaml': 'version: 1\n' });
  await copy().write(text);
  assert.equal(await copy().read(), text);
  await copy().write(JSON.stringify({ 'access.yaml': 'version: 1\n' }));
  assert.equal(await copy().read(), JSON.stringify({ 'access.yaml': 'version: 1\n' }));
});

test('a symbolic link to a policy stays, and the file behind it is replaced', async () => {
  const real = path.join(directory, 'real.yaml');
  await writeFile(real, 'version: 1\n');
  await symlink(real, file);
  await copy().write(JSON.stringify({ 'access.yaml': 'version: 2\n' }));
  assert.ok((await lstat(file)).isSymbolicLink());
  assert.equal(await readFile(real, 'utf8'), 'version: 2\n');
});

test('a document of the cluster writes no file of a node except those of the policy', async () => {
  await writeFile(file, 'version: 1\n');
  for (const name of ['hubgate.yaml', '../outside.yaml', 'other.d/a.yaml', '..']) {
    await assert.rejects(copy().write(JSON.stringify({ 'access.yaml': 'version: 2\n', [name]: 'a: 1\n' })));
  }
  assert.deepEqual(await readdir(directory, { recursive: true }), ['config', 'config/access.yaml']);
  assert.equal(await readFile(file, 'utf8'), 'version: 1\n');
});
