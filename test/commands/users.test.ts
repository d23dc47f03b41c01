import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, test } from 'node:test';
import bcrypt from 'bcryptjs';
import { COMPILED } from '../support/compiled.ts';
import { runVerb } from './support/terminal.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');
const HASH = bcrypt.hashSync('right', 4).replace('$2b', '$2y');

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-home-'));
  process.chdir(home);
});

afterEach(() => {
  process.chdir(import.meta.dirname);
  return rm(home, { recursive: true });
});

const user = (...args: string[]) => runVerb(['user', ...args], { typed: 's3cret-of-ana' });

/** In a process of its own. */
async function spawned(...args: string[]) {
  const child = spawn(process.execPath, [BIN, 'user', ...args], { cwd: home, env: COMPILED });
  child.stdin.end('s3cret-of-ana');
  const exit = once(child, 'exit');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exit;
  return { code, stdout, stderr };
}

const usersFile = () => readFile(path.join(home, 'config/users.yaml'), 'utf8');

async function listed(): Promise<unknown> {
  return JSON.parse((await user('list', '--json')).stdout);
}

test('a service account has no password, and is given none', async () => {
  assert.equal((await user('add', 'ci', '--service')).code, 0);
  assert.match(await usersFile(), /\nusers:\n {2}ci:\n {4}service: true\n {4}id: u[0-9a-f]{12}\n$/);
  for (const [args, code, message] of [
    [
      ['add', 'cd', '--service', '--password-stdin'],
      2,
      /^hubgate: a service account has no password; it logs in by/,
    ],
    [
      ['passwd', 'ci', '--password-stdin'],
      1,
      /^hubgate: ci is a service account, which has no password and logs in/,
    ],
    [['add', 'ci', '--service'], 1, /^hubgate: ci is there already/],
  ] as const) {
    const refused = await user(...args);
    assert.equal(refused.code, code, args.join(' '));
    assert.match(refused.stderr, message);
  }
  assert.deepEqual(await listed(), [{ name: 'ci', service: true, disabled: false }]);
});

test('users are disabled and enabled, and the list says so', async () => {
  await user('add', 'ana', '--password-stdin');
  await user('add', 'ci', '--service');
  for (const name of ['ana', 'ci', 'ana']) assert.equal((await user('disable', name)).code, 0);
  assert.equal(
    (await user('list')).stdout,
    'NAME  KIND     STATE\nana   person   disabled\nci    service  disabled\n',
  );
  assert.deepEqual(await listed(), [
    { name: 'ana', service: false, disabled: true },
    { name: 'ci', service: true, disabled: true },
  ]);
  assert.equal((await user('enable', 'ana')).code, 0);
  assert.equal(
    (await user('list')).stdout,
    'NAME  KIND     STATE\nana   person   active\nci    service  disabled\n',
  );
  for (const verb of ['disable', 'enable']) {
    const refused = await user(verb, 'bo');
    assert.deepEqual([refused.code, refused.stderr], [1, 'hubgate: there is no user bo\n']);
  }
});

test('a new hash costs what hubgate.yaml says, and none is made where that is wrong', async () => {
  await mkdir(path.join(home, 'config'));
  const config = path.join(home, 'config/hubgate.yaml');
  await writeFile(config, 'passwords: { memory: 20MiB, passes: 3 }\n');
  await user('add', 'ana', '--password-stdin');
  assert.match(await usersFile(), /\$argon2id\$v=19\$m=20480,(?:t=3,p=1|p=1,t=3)\$/);
  await writeFile(config, 'passwords: { passes: 1 }\n');
  const refused = await user('passwd', 'ana', '--password-stdin');
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /^config\/hubgate\.yaml:1:22: passwords\.passes: found 1, expected a number/);
});

test('htpasswd users are imported as they are; once more changes nothing', async () => {
  await user('add', 'ana', '--password-stdin');
  await writeFile(path.join(home, 'htpasswd'), `# ours\njin:${HASH}\nzoe:${HASH}\n`);
  const imported = await user('import', 'htpasswd');
  assert.deepEqual([imported.code, imported.stderr], [0, '']);
  assert.match(imported.stdout, /^users imported: 2; each is hashed anew at its next right login$/m);
  const after = await usersFile();
  assert.equal(after.split(HASH).length, 3);
  const again = await user('import', 'htpasswd');
  assert.match(again.stdout, /^users imported: 0, 2 there already;/);
  assert.equal(await usersFile(), after);
});

test('an import names the lines that are wrong, of names that hold something else too, and imports the rest', async () => {
  await user('add', 'ana', '--password-stdin');
  await user('add', 'ci', '--service');
  const before = await usersFile();
  await writeFile(path.join(home, 'bad'), `jin:${HASH}\nbo:$apr1$salt$SECRET\nzoe:${HASH}\n`);
  await writeFile(path.join(home, 'taken'), `Eve:${HASH}\nana:${HASH}\nci:${HASH}\n`);
  const bad = await user('import', 'bad');
  assert.match(bad.stderr, /^bad:2: the password of bo is MD5.*htpasswd -B.*\n$/);
  assert.match(bad.stdout, /^users imported: 2, left out: 1;/m);
  assert.ok(!bad.stderr.includes('SECRET'));
  const taken = await user('import', 'taken');
  assert.match(taken.stderr, /^taken:2: ana is there already.*\ntaken:3: ci is there already.*\n$/);
  assert.match(taken.stdout, /^users imported: 1, left out: 2;/m);
  const missing = await user('import', 'not-there');
  assert.match(missing.stderr, /^not-there: cannot be read: there is no such file/);
  assert.deepEqual([bad.code, taken.code, missing.code], [1, 1, 2]);
  const after = await usersFile();
  assert.ok(after.startsWith(before.trimEnd()), 'who was there is as before');
  assert.deepEqual(after.match(/^ {2}\w+:/gm), ['  ana:', '  ci:', '  jin:', '  zoe:', '  Eve:']);
});

test('commands that change users at once do not lose each other’s changes, and one name is added once', async () => {
  await user('add', 'ana', '--password-stdin');
  const names = Array.from({ length: 8 }, (_, index) => `ci-${index}`);
  const added = await Promise.all([
    ...names.map((name) => spawned('add', name, '--service')),
    spawned('disable', 'ana'),
    spawned('add', 'ci', '--service'),
    spawned('add', 'ci', '--service'),
  ]);
  const codes = added.map(({ code }) => code).sort();
  assert.deepEqual(codes, [...Array(10).fill(0), 1], added.map(({ stderr }) => stderr).join(''));
  const list = (await listed()) as { name: string; disabled: boolean }[];
  assert.deepEqual(list.map(({ name }) => name).sort(), ['ana', 'ci', ...names].sort());
  assert.equal(list.find(({ name }) => name === 'ana')?.disabled, true);
  assert.deepEqual(await readdir(path.join(home, 'config')), ['users.yaml']);
});
