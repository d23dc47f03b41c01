import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { COMPILED, shareCompiled } from '../support/compiled.ts';
import { freePort } from '../support/free-port.ts';
import { waitFor } from '../support/wait-for.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');
const SCRIPT = '/usr/bin/script';

test('SIGHUP in a terminal opens the audit log anew, and ends the mirror only when the terminal has gone', {
  skip: !(process.platform === 'linux' && existsSync(SCRIPT)) && 'there is no script(1) to make a terminal',
}, async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-home-'));
  await shareCompiled(home);
  const command = `${process.execPath} ${BIN} start --home ${home}`;
  const terminal = spawn(SCRIPT, ['-qfec', `echo pid $$; exec ${command}`, '/dev/null'], {
    cwd: home,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      ...COMPILED,
      HUBGATE_SERVER_LISTEN: `127.0.0.1:${await freePort()}`,
      HUBGATE_SERVER_ADMIN: '127.0.0.1:0',
      HUBGATE_SERVER_WORKERS: '1',
    },
  });
  let output = '';
  terminal.stdout.on('data', (chunk) => (output += chunk));
  try {
    await waitFor(() => output.includes('docker pull'));
    const pid = Number(/pid (\d+)/.exec(output)?.[1]);
    const audit = path.join(home, 'state/audit.log');
    await rename(audit, `${audit}.1`);
    process.kill(pid, 'SIGHUP');
    await waitFor(() => existsSync(audit) && output.includes('read anew'));
    assert.match(await readFile(`/proc/${pid}/cmdline`, 'utf8'), /hubgate/);
    terminal.kill('SIGKILL');
    await once(terminal, 'exit');
    await waitFor(() => !existsSync(`/proc/${pid}`));
  } finally {
    terminal.kill('SIGKILL');
    await rm(home, { recursive: true });
  }
});
