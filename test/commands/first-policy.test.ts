import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFile, cp, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { readPolicy } from '../../src/access/load-policy.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const FIRST = path.join(ROOT, 'src/launch/first-policy/access.yaml');

test('a new home gets the default policy, and not the one that was edited where the program lies', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-first-'));
  t.after(() => rm(directory, { recursive: true }));
  const at = (file: string) => path.join(directory, file);
  for (const part of ['src', 'config', 'package.json'])
    await cp(path.join(ROOT, part), at(`program/${part}`), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), at('program/node_modules'));
  await appendFile(at('program/config/access.yaml'), '# edited\n');
  execFileSync(process.execPath, [at('program/src/bin/hubgate.ts'), 'prepare', '--home', at('home')]);
  const policy = await readFile(at('home/config/access.yaml'), 'utf8');
  assert.equal(policy, await readFile(FIRST, 'utf8'));
  const schema = await readFile(at('home/config/access.schema.json'), 'utf8');
  const shipped = await readFile(path.join(ROOT, 'config/access.schema.json'), 'utf8');
  assert.deepEqual(JSON.parse(schema), JSON.parse(shipped));
});

test('the default policy is the example in config/, and nothing is wrong with it', async () => {
  assert.equal(await readFile(path.join(ROOT, 'config/access.yaml'), 'utf8'), await readFile(FIRST, 'utf8'));
  assert.ok('value' in (await readPolicy(FIRST, Date.now(), { forms: {} })));
});

test('the image holds nobody’s configuration', async () => {
  for (const file of ['Dockerfile', '.dockerignore'])
    assert.doesNotMatch(await readFile(path.join(ROOT, file), 'utf8'), /^(?:COPY|!).*config/m);
});
