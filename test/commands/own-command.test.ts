import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { ownCommand } from '../../src/launch/own-command.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-command-'));
});

afterEach(() => rm(directory, { recursive: true }));

async function found(at: string, options: { home?: string; user?: () => string } = {}): Promise<string> {
  const searchPath = [path.join(directory, 'none'), '', at].join(path.delimiter);
  const home = '/var/lib/hubgate';
  return ownCommand({ searchPath, home, usualHome: home, user: () => 'hubgate', ...options });
}

test('in the image, and after npm install --global, a link leads to the program, and the command is hubgate', async () => {
  const user = () => {
    throw new Error('a user without a name');
  };
  for (const program of [BIN, path.join(BIN, '../../../bin/hubgate.cjs')]) {
    await symlink(program, path.join(directory, 'hubgate'));
    assert.equal(await found(directory, { user }), 'hubgate', program);
    assert.equal(await found(directory, { home: '/srv/mirror' }), 'hubgate --home /srv/mirror');
    await rm(path.join(directory, 'hubgate'));
  }
});

test('where the program is a service, its command is run as the user of the service', async () => {
  const script = `#!/bin/sh\nexport HUBGATE_HOME="/var/lib/hubgate"\nexec node ${BIN} "$@"\n`;
  await writeFile(path.join(directory, 'hubgate'), script, { mode: 0o755 });
  assert.equal(await found(directory), 'sudo -u hubgate hubgate');
  assert.equal(await found(directory, { home: '/srv/mirror' }), 'sudo -u hubgate hubgate --home /srv/mirror');
});

test('in a checkout it is npx hubgate, whatever else has that name', async () => {
  assert.equal(
    await ownCommand({ searchPath: undefined, home: directory, usualHome: directory, user: () => 'ana' }),
    'npx hubgate',
  );
  assert.equal(await found(directory, { home: '/srv/mirror' }), 'npx hubgate --home /srv/mirror');
  await writeFile(path.join(directory, 'hubgate'), '#!/bin/sh\nexec node /opt/other/hubgate.ts\n');
  assert.equal(await found(directory), 'npx hubgate');
  const ofNpm = path.join(directory, 'node_modules/.bin');
  await mkdir(ofNpm, { recursive: true });
  await symlink(BIN, path.join(ofNpm, 'hubgate'));
  assert.equal(await found(ofNpm), 'npx hubgate');
});
