import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };

const LAUNCHER = path.join(import.meta.dirname, '../..', packageJson.bin.hubgate);

function launch(args: readonly string[], flags: readonly string[] = []) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, LAUNCHER, ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('the command that npm installs runs the program', () => {
  assert.deepEqual(launch(['--version']), { status: 0, stdout: `${packageJson.version}\n`, stderr: '' });
  assert.equal(launch(['no-such-verb']).status, 2);
});

test('a Node that is too old says so, and what to do', () => {
  for (const version of ['18.19.0', '24.10.9']) {
    const old = `Object.defineProperty(process, 'versions', { value: { node: '${version}' } })`;
    const { status, stdout, stderr } = launch(['start'], ['--import', `data:text/javascript,${old}`]);
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(stderr, /^hubgate: it needs Node 24\.11 or newer, and \/\S+ is Node \d+\.\d+\.\d\.\n/);
    assert.match(stderr, /: npm ci && npx hubgate start\n$/);
  }
  const newer = "Object.defineProperty(process, 'versions', { value: { node: '25.0.0' } })";
  assert.equal(launch(['--version'], ['--import', `data:text/javascript,${newer}`]).status, 0);
});

test('npm start in a checkout runs on the Node that npm ci brought, and not on that of the machine', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-node-'));
  t.after(() => rm(directory, { recursive: true }));
  const old = "#!/bin/sh\necho 'the Node of the machine' >&2\nexit 9\n";
  await writeFile(path.join(directory, 'node'), old, { mode: 0o755 });
  const npm = spawnSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).stdout.trim();
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [await realpath(npm), 'start', '--', '--help'],
    {
      cwd: path.join(import.meta.dirname, '../..'),
      env: { HOME: directory, PATH: `${directory}:/usr/bin:/bin` },
      encoding: 'utf8',
    },
  );
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /^Usage: hubgate start /m);
});
