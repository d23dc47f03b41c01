import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { createFiles, writeFileAtomically } from '../../src/platform/atomic-file.ts';

let directory: string;
const at = (name: string) => path.join(directory, name);

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-atomic-'));
});

afterEach(() => rm(directory, { recursive: true }));

test('invariant 19: of a symbolic link the file behind it is written, and the link stays', async () => {
  await mkdir(at('git'));
  await writeFile(at('git/users.yaml'), 'before');
  await symlink('git/users.yaml', at('users.yaml'));
  await writeFileAtomically(at('users.yaml'), 'after', 0o600);
  assert.equal(await readlink(at('users.yaml')), 'git/users.yaml');
  assert.equal(await readFile(at('git/users.yaml'), 'utf8'), 'after');
  assert.equal((await lstat(at('git/users.yaml'))).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(at('git')), ['users.yaml']);
});

test('invariant 19: a link to nothing is not replaced', async () => {
  await symlink('not-there', at('link'));
  await assert.rejects(writeFileAtomically(at('link'), 'x', 0o600), { code: 'ENOENT' });
  assert.deepEqual(await readdir(directory), ['link']);
});

test('invariant 19: new files are made all or none, and never over one that is there', async () => {
  const files = ['a', 'b'].map((name) => ({ file: at(name), bytes: 'new', mode: 0o600 }));
  await writeFile(at('b'), 'somebody’s own');
  await assert.rejects(createFiles(files), { code: 'EEXIST' });
  assert.deepEqual(await readdir(directory), ['b']);
  assert.equal(await readFile(at('b'), 'utf8'), 'somebody’s own');
  await rm(at('b'));
  await createFiles(files);
  assert.deepEqual(await readdir(directory), ['a', 'b']);
  assert.equal((await lstat(at('a'))).mode & 0o777, 0o600);
});
