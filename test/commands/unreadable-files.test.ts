import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { access, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { check } from '../../src/commands/check.ts';
import { doctor } from '../../src/commands/doctor/doctor.ts';
import { prepareHome } from '../../src/launch/prepare-home.ts';
import { run } from './support/terminal.ts';

let home: string;
const at = (file: string) => path.join(home, file);

/** The object that replaces a file, and the message about it. */
const INSTEAD: Readonly<Record<string, [(file: string) => Promise<unknown>, RegExp]>> = {
  'a FIFO': [async (file) => execFileSync('mkfifo', [file]), /it is a FIFO, not a regular file/],
  'a link to a device': [(file) => symlink('/dev/zero', file), /it is a device, not a regular file/],
  'a link to itself': [(file) => symlink(path.basename(file), file), /too many symbolic links/],
  'a link to nothing': [(file) => symlink('not-there', file), /no such file/],
};

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-unreadable-'));
});

afterEach(() => rm(home, { recursive: true }));

const checked = () => run((terminal) => check({ home, json: false }, {}, terminal));
const prepared = () => run((terminal) => prepareHome({ home }, {}, terminal));

for (const file of ['config/hubgate.yaml', 'config/access.yaml', 'config/users.yaml']) {
  test(`${file} that cannot be read is said by check and doctor, which do not wait for it`, async () => {
    assert.equal((await prepared()).code, 0);
    for (const [what, [put, expected]] of Object.entries(INSTEAD)) {
      await rm(at(file), { force: true });
      await put(at(file));
      const { code, stderr } = await checked();
      assert.equal(code, 2, what);
      assert.match(stderr, new RegExp(`^${file}: cannot be read: .*${expected.source}`), what);
      const options = { home, json: false, image: 'library/alpine' };
      const context = { clock: Date.now, root: '/nonexistent', hub: [] };
      const { stdout } = await run((terminal) =>
        doctor(options, { HUBGATE_UPSTREAMS_DOCKER_IO_URL: 'http://127.0.0.1:1' }, terminal, context),
      );
      assert.match(stdout, new RegExp(`${file}: cannot be read: .*${expected.source}`), what);
    }
  });
}

test('a policy that cannot be read is no fresh install: the default one is not put beside it', async () => {
  await mkdir(at('config'));
  for (const put of [
    () => writeFile(at('config/access.d'), ''),
    () => symlink('access.d', at('config/access.d')),
    () => symlink('not-there', at('config/access.d')),
    () => symlink('not-there', at('config/access.yaml')),
  ]) {
    await put();
    await prepared();
    await assert.rejects(access(at('config/access.yaml')), { code: 'ENOENT' });
    await rm(at('config/access.d'), { force: true });
    await rm(at('config/access.yaml'), { force: true });
  }
});

test('users that cannot be read are not made anew', async () => {
  await mkdir(at('config'));
  await symlink('not-there', at('config/users.yaml'));
  assert.doesNotMatch((await prepared()).stdout, /password/);
  await assert.rejects(access(at('config/not-there')), { code: 'ENOENT' });
});

test('a certificate that cannot be read is said by client-config, which does not wait for it', async () => {
  assert.equal((await prepared()).code, 0);
  await rm(at('certs/server.crt'));
  execFileSync('mkfifo', [at('certs/server.crt')]);
  const bin = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');
  const args = [bin, 'client-config', 'docker', '--for', 'node-7', '--home', home];
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd: home,
    encoding: 'utf8',
    timeout: 30_000,
  });
  assert.equal(status, 1);
  assert.match(stderr, /certs\/server\.crt cannot be read: it is a FIFO, not a regular file/);
});

test('a policy that a shell pipes into a verb is read, as in `access test <(git show …)`', async () => {
  assert.equal((await prepared()).code, 0);
  const script = '"$0" "$1" access test <(cat "$2/config/access.yaml") --home "$2"';
  const bin = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');
  const tested = spawnSync('bash', ['-c', script, process.execPath, bin, home], { encoding: 'utf8' });
  assert.deepEqual([tested.status, tested.stderr], [0, '']);
});
