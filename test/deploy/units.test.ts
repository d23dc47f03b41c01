import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const UNITS = path.join(import.meta.dirname, '../../deploy/systemd');

test('every service says how many files it may have open, as a gateway takes connections by it', () => {
  const services = readdirSync(UNITS).filter((name) => name.endsWith('.service'));
  assert.equal(services.length, 5);
  for (const name of services)
    assert.match(readFileSync(path.join(UNITS, name), 'utf8'), /^LimitNOFILE=65536$/m, name);
});

test('every unit runs the Node that the installation brings, which is where it is installed', () => {
  const { status, stdout, stderr } = spawnSync(path.join(UNITS, 'install.sh'), ['--dry-run'], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^cp .*\/node_modules\/node\/bin\/node \/opt\/hubgate\.new\/bin\/node$/m);
  for (const name of readdirSync(UNITS).filter((one) => /\.(?:service|socket|target)$/.test(one))) {
    assert.match(stdout, new RegExp(`^install .*/${name} /usr/local/lib/systemd/system/${name}$`, 'm'));
    const text = readFileSync(path.join(UNITS, name), 'utf8');
    for (const [, command = ''] of text.matchAll(/^ExecStart(?:Pre)?=\+?(.*)$/gm))
      assert.match(command, /^\/opt\/hubgate\/bin\/node \/opt\/hubgate\/src\/bin\/hubgate\.ts /, name);
  }
});
