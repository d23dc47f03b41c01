/**
 * Tests with real processes that commands which withdraw a credential report whether the running mirror
 * refuses it.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { issueCert } from '../../src/commands/cert/issue.ts';
import { revokeCert } from '../../src/commands/cert/revoke.ts';
import { confirmWithdrawal } from '../../src/commands/confirmation.ts';
import { createToken, revokeToken } from '../../src/commands/token.ts';
import { changePassword, deleteUser } from '../../src/commands/user.ts';
import type { ExitCode, Terminal } from '../../src/launch/terminal.ts';
import { RunningMirror } from '../support/running-mirror.ts';
import { waitFor } from '../support/wait-for.ts';
import { run } from './support/terminal.ts';

/** This id is the same on every Linux. */
const NOBODY = 65534;

let mirror: RunningMirror;

before(async () => {
  mirror = await RunningMirror.start({ workers: 2 });
  await mirror.run('user', 'add', 'ci', '--service');
});

after(() => mirror[Symbol.asyncDispose]());

interface Ended {
  readonly code: unknown;
  readonly output: string;
}

/** A healthy mirror on a very busy machine may confirm late, so one further try is allowed. */
async function untilConfirmed(act: () => Promise<Ended>): Promise<Ended> {
  let ended: Ended = { code: undefined, output: '' };
  await waitFor(async () => {
    ended = await act();
    return ended.code === 0;
  });
  return ended;
}

async function inProcess(act: (terminal: Terminal) => Promise<ExitCode>, typed = ''): Promise<string> {
  const { output } = await untilConfirmed(async () => {
    const { code, stdout } = await run(act, { typed });
    return { code, output: stdout };
  });
  return output;
}

/** Suspends a process, as a fault that hangs it would, while `act` runs. */
async function whileStopped<T>(pid: number, act: () => Promise<T>): Promise<T> {
  process.kill(pid, 'SIGSTOP');
  try {
    return await act();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

async function roles(role: string): Promise<number[]> {
  const pids = await mirror.pids(role);
  assert.ok(pids.length === (role === 'gateway' ? 2 : 1));
  return pids;
}

test('auth and every gateway confirm that an old password, a certificate, a token and a removed user are refused', async () => {
  const { home } = mirror;
  const out = path.join(home, 'node-7');
  const issued = await run((terminal) => issueCert('node-7', { home, out, days: '1' }, {}, terminal));
  assert.equal(issued.code, 0, issued.stderr);
  const revoked = await inProcess((terminal) => revokeCert('node-7', { home }, {}, terminal));
  assert.match(revoked, /the certificate is revoked; the running mirror refuses it from now on/);

  const created = await inProcess((terminal) =>
    createToken('ci', { home, json: true, expires: '1d' }, {}, terminal),
  );
  const { id } = JSON.parse(created);
  const ended = await run((terminal) => revokeToken(id, { home }, {}, terminal));
  assert.match(ended.stdout + ended.stderr, /is revoked/);
  if (ended.code === 0) assert.match(ended.stdout, /; the running mirror refuses it from now on/);

  const changed = await inProcess(
    (terminal) => changePassword('admin', { home, passwordStdin: true }, {}, terminal),
    'another password of an admin\n',
  );
  assert.match(changed, /; the running mirror refuses the old one and what was issued for it from now on/);

  const removed = await run((terminal) => deleteUser('ci', { home }, {}, terminal));
  assert.match(removed.stdout + removed.stderr, /ci is removed/);
});

test('they confirm that a disabled user is refused', async () => {
  const { code, output } = await untilConfirmed(() => mirror.run('user', 'disable', 'admin'));
  assert.equal(code, 0);
  assert.match(output, /admin is disabled; the running mirror refuses admin’s logins and tokens from now on/);
});

test('a gateway that does not answer has not confirmed it', async () => {
  const { home } = mirror;
  const out = path.join(home, 'node-8');
  await run((terminal) => issueCert('node-8', { home, out, days: '1' }, {}, terminal));
  const [, pid = 0] = await roles('gateway');
  const { code, output } = await whileStopped(pid, () => mirror.run('cert', 'revoke', 'node-8'));
  assert.equal(code, 1, output);
  assert.match(
    output,
    /the certificate is revoked, but the running mirror has not confirmed that it refuses it/,
  );
  assert.match(output, /auth and [01] of 2 gateways do, and the rest does not answer; see hubgate doctor/);
  await inProcess((terminal) => revokeCert('node-8', { home }, {}, terminal));
});

test('an auth that hangs has not confirmed it', async () => {
  const [pid = 0] = await roles('auth');
  const { code, output } = await whileStopped(pid, () => mirror.run('cert', 'revoke', 'node-7'));
  assert.equal(code, 1, output);
  assert.match(output, /has not confirmed that it refuses it: auth does not answer; see hubgate doctor/);
  const { home } = mirror;
  await inProcess((terminal) => revokeCert('node-7', { home }, {}, terminal));
});

test('what auth has not read is not confirmed', async () => {
  const withdrawal = { done: 'ana is disabled', refused: 'ana’s logins', isWithdrawn: () => false };
  const { code, stderr } = await run((terminal) => confirmWithdrawal(withdrawal, mirror.home, terminal));
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^hubgate: ana is disabled, but .* refuses ana’s logins: auth has not read the change/,
  );
});

test('a user who may not ask the mirror is told who may', {
  skip: process.getuid?.() !== 0 && 'only root can run something as another user',
}, async (t) => {
  const module = path.join(import.meta.dirname, '../../src/commands/confirmation.ts');
  const program = `const { confirmWithdrawal } = await import(${JSON.stringify(module)});
    const withdrawal = { done: 'ana is disabled', refused: 'her logins', isWithdrawn: () => true };
    process.exitCode = await confirmWithdrawal(withdrawal, ${JSON.stringify(mirror.home)}, process);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    ...{ cwd: '/', uid: NOBODY, gid: NOBODY, env: {} },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exit = once(child, 'exit');
  const printed = await text(child.stderr);
  const [code] = await exit;
  if (/Cannot find module/.test(printed)) return t.skip('nobody may not read this checkout');
  assert.equal(code, 1, printed);
  assert.match(
    printed,
    /has not confirmed that it refuses her logins: this user may not ask it; run this as /,
  );
});

test('where no mirror runs, that is said', async () => {
  await mirror.stop();
  const { code, output } = await mirror.run('user', 'disable', 'admin');
  assert.equal(code, 0, output);
  assert.match(output, /admin is disabled; no mirror runs here, and one that starts refuses admin’s logins/);
});
