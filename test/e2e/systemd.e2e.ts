import assert from 'node:assert/strict';
import { globSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { mustRun } from './support/process.ts';

const UNITS = path.join(import.meta.dirname, '../../deploy/systemd');

/**
 * The most that `systemd-analyze security` may find exposed, from 0 to 100; Debian's own services have some
 * 90.
 */
const EXPOSURE: Readonly<Record<string, number>> = {
  'hubgate-account.service': 8,
  'hubgate-core.service': 17,
  'hubgate-auth.service': 8,
  'hubgate-gateway.service': 12,
  'hubgate.service': 17,
};

let directory: string;

/** The units as they lie in the checkout, but for the paths of what is installed. */
before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-units-'));
  for (const name of globSync('*', { cwd: UNITS })) {
    const text = await readFile(path.join(UNITS, name), 'utf8');
    const installed = text
      .replaceAll('/opt/hubgate/bin/node', process.execPath)
      .replaceAll('/opt/hubgate', path.join(UNITS, '../..'));
    await writeFile(path.join(directory, name), installed);
  }
});

after(() => rm(directory, { recursive: true }));

test('systemd finds nothing wrong with the units', async () => {
  const units = globSync('*.{service,socket,target}', { cwd: directory });
  assert.equal(units.length, 7);
  const said = await mustRun(
    'systemd-analyze',
    ['verify', '--man=no', ...units.map((name) => path.join(directory, name))],
    { env: { SYSTEMD_LOG_LEVEL: 'warning' } },
  );
  // What it says of units that are not ours, and of a machine that systemd does not run, is not about these.
  assert.doesNotMatch(said, /hubgate/);
});

test('the services are confined, each as far as it can be', async () => {
  assert.deepEqual(globSync('*.service', { cwd: directory }).sort(), Object.keys(EXPOSURE).sort());
  for (const [name, threshold] of Object.entries(EXPOSURE)) {
    // Ends with another code than 0 where it is more.
    await mustRun('systemd-analyze', [
      'security',
      '--offline=true',
      `--threshold=${threshold}`,
      path.join(directory, name),
    ]);
    assert.match(readFileSync(path.join(directory, name), 'utf8'), /^LimitCORE=0$/m, name);
  }
});

test('the files for users and directories make the layout that the roles keep apart by', async () => {
  const root = path.join(directory, 'root');
  await mkdir(path.join(root, 'etc'), { recursive: true });
  for (const file of ['passwd', 'group'])
    await writeFile(path.join(root, 'etc', file), 'root:x:0:0::/root:/bin/sh\n');
  await writeFile(path.join(root, 'etc/group'), 'root:x:0:\n');
  await mustRun('systemd-sysusers', [`--root=${root}`, path.join(directory, 'hubgate.sysusers')]);
  await mustRun('systemd-tmpfiles', [`--root=${root}`, '--create', path.join(directory, 'hubgate.tmpfiles')]);
  const ids = (file: string) =>
    new Map(
      readFileSync(path.join(root, 'etc', file), 'utf8')
        .trim()
        .split('\n')
        .map((line) => [Number(line.split(':')[2]), line.split(':')[0]?.replace('hubgate-', '')]),
    );
  const [users, groups] = [ids('passwd'), ids('group')];
  const home = path.join(root, 'var/lib/hubgate');
  const made = globSync('**', { cwd: home }).map((name) => {
    const { mode, uid, gid } = statSync(path.join(home, name));
    return `${name} ${(mode & 0o7777).toString(8)} ${users.get(uid)}:${groups.get(gid)}`;
  });
  assert.deepEqual(made.sort(), [
    '. 755 root:root',
    'certs 2750 root:gateway',
    'config 1775 root:auth',
    'config/users.yaml 600 auth:auth',
    'data 2750 core:gateway',
    'log 750 gateway:gateway',
    'run 755 root:root',
    'run/account 2750 account:gateway',
    'run/auth 2750 auth:gateway',
    'run/core 2750 core:gateway',
    'run/gateway 750 gateway:gateway',
    'state 700 auth:auth',
  ]);
  assert.equal(readFileSync(path.join(home, 'config/users.yaml'), 'utf8'), 'version: 1\nusers: {}\n');
});
