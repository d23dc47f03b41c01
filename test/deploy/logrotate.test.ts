import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const DEPLOY = path.join(import.meta.dirname, '../../deploy');
const UNITS = ['hubgate.service', 'hubgate-gateway.service'];

test('each audit log is rotated as the user of its unit, and the unit that is reloaded after it sends SIGHUP', () => {
  const text = readFileSync(path.join(DEPLOY, 'logrotate/hubgate'), 'utf8');
  const blocks = [...text.matchAll(/^(\/\S+) \{\n(.*?)^\}$/gms)];
  assert.equal(blocks.length, UNITS.length);
  for (const [index, [, file, block = '']] of blocks.entries()) {
    const name = UNITS[index] ?? assert.fail();
    const unit = readFileSync(path.join(DEPLOY, 'systemd', name), 'utf8');
    const audit = /^Environment=HUBGATE_LOG_AUDIT=(\S+)$/m.exec(unit)?.[1] ?? 'state/audit.log';
    assert.equal(file, path.join('/var/lib/hubgate', audit));
    const user = /^User=(\S+)$/m.exec(unit)?.[1];
    assert.match(block, new RegExp(`^ +su ${user} ${user}$`, 'm'));
    assert.match(
      block,
      new RegExp(`postrotate\n +systemctl reload ${name.replace('.', '\\.')}\n +endscript`),
    );
    assert.match(unit, /^ExecReload=\/bin\/kill -HUP \$MAINPID$/m);
    // The gateway makes the new one, and goes on to write to the old one until it is told.
    assert.match(block, /^ +nocreate$/m);
    assert.match(block, /^ +delaycompress$/m);
  }
});
