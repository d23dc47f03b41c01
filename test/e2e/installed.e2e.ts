import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { whyNoMounts } from '../support/in-mount-namespace.ts';
import { SystemdContainer } from './support/systemd-container.ts';

const skip = await whyNoMounts();
const INSTALL = path.join(import.meta.dirname, '../../deploy/systemd/install.sh');

test('one command installs and upgrades the service, which runs the Node that it brought', {
  skip,
}, async () => {
  await using machine = await SystemdContainer.start();
  const planned = await machine.mustRun(INSTALL, '--dry-run');
  assert.match(planned, /^install .*hubgate\.service$/m);
  assert.match(planned, /^systemctl restart hubgate\.service$/m);
  assert.equal(
    (await machine.run('ls', '/opt/hubgate', '/usr/local/bin/hubgate')).output.match(/cannot/g)?.length,
    2,
  );

  await machine.mustRun(INSTALL);
  await machine.ready();
  const first = await machine.mustRun('systemctl', 'show', '--value', '--property=MainPID', 'hubgate');
  const node = await machine.mustRun('readlink', `/proc/${first.trim()}/exe`);
  assert.equal(node.trim(), '/opt/hubgate/bin/node');
  assert.match(await machine.mustRun('/opt/hubgate/bin/node', '--version'), /^v26\./);
  const user = ['setpriv', '--reuid=hubgate', '--regid=hubgate', '--clear-groups'] as const;
  assert.match(await machine.mustRun(...user, 'hubgate', 'user', 'list'), /^admin /m);
  const journal = await machine.mustRun('journalctl', '-u', 'hubgate', '--no-pager');
  assert.match(journal, /admin has the password/);
  assert.match(journal, /to set another one: sudo -u hubgate hubgate user passwd admin$/m);

  // Again, as for an upgrade: another process serves, with the same home.
  await machine.mustRun(INSTALL);
  await machine.ready();
  const second = await machine.mustRun('systemctl', 'show', '--value', '--property=MainPID', 'hubgate');
  assert.notEqual(second, first);
  assert.match(await machine.mustRun(...user, 'hubgate', 'user', 'list'), /^admin /m);
  const other = await machine.run(INSTALL, '--separate');
  assert.deepEqual([other.code, /was made without --separate/.test(other.output)], [1, true]);
});

test('--separate installs three roles as three users, and starts them once the account is there', {
  skip,
}, async () => {
  await using machine = await SystemdContainer.start();
  assert.match(await machine.mustRun(INSTALL, '--separate'), /Not started yet: put the token/);
  await machine.mustRun(
    'sh',
    '-c',
    'install -d -m 0700 /etc/hubgate; (umask 277; echo token > /etc/hubgate/hub-token)',
  );
  await machine.mustRun(INSTALL, '--separate');
  await machine.ready();
  for (const role of ['core', 'auth', 'gateway', 'account']) {
    const shown = ['systemctl', 'show', '--value', '--property=MainPID', `hubgate-${role}`] as const;
    const pid = (await machine.mustRun(...shown)).trim();
    assert.equal((await machine.mustRun('stat', '-c', '%U', `/proc/${pid}`)).trim(), `hubgate-${role}`);
    assert.equal((await machine.mustRun('readlink', `/proc/${pid}/exe`)).trim(), '/opt/hubgate/bin/node');
  }
});

test('what is not Hubgate’s is not overwritten', { skip }, async () => {
  await using machine = await SystemdContainer.start();
  await machine.mustRun('sh', '-c', 'mkdir -p /opt/hubgate && echo mine > /opt/hubgate/mine');
  const { code, output } = await machine.run(INSTALL);
  assert.deepEqual([code, /\/opt\/hubgate exists and is not Hubgate/.test(output)], [1, true]);
  await machine.mustRun('sh', '-c', 'rm -r /opt/hubgate; echo mine > /usr/local/bin/hubgate');
  assert.equal((await machine.run(INSTALL)).code, 1);
  assert.equal((await machine.mustRun('cat', '/usr/local/bin/hubgate')).trim(), 'mine');
});
