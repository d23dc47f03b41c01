import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { type RoleProcess, roleProcess } from '../../src/supervisor/role-process.ts';
import { type RolePlan, supervise } from '../../src/supervisor/supervise.ts';
import { QUIET } from '../support/test-core.ts';
import { type LoggedLine, testLog } from '../support/test-log.ts';
import { waitFor } from '../support/wait-for.ts';

const FIXTURE = path.join(import.meta.dirname, '../support/fixtures/role.ts');

class Plan implements RolePlan {
  readonly name: string;
  readonly spawned: RoleProcess[] = [];
  readonly #settings: Record<string, string>;

  readonly #pingEvery: number | undefined;

  constructor(name: string, settings: Record<string, string> = {}, pingEvery?: number) {
    this.name = name;
    this.#settings = settings;
    this.#pingEvery = pingEvery;
  }

  spawn(): RoleProcess {
    const role = roleProcess(fork(FIXTURE), this.#settings, this.#pingEvery);
    this.spawned.push(role);
    return role;
  }

  get pid(): number {
    return this.spawned.at(-1)?.pid ?? assert.fail();
  }
}

const NEEDS_PROC = { skip: process.platform !== 'linux' && 'there is no /proc to read environments in' };

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('a role that dies is started again, and the others go on', async () => {
  const [core, gateway] = [new Plan('core'), new Plan('gateway')];
  const lines: LoggedLine[] = [];
  const supervision = await supervise([core, gateway], testLog(lines));
  const before = core.pid;
  const other = gateway.pid;
  process.kill(before, 'SIGKILL');
  await waitFor(() => core.spawned.length === 2);
  await core.spawned[1]?.ready;
  assert.notEqual(core.pid, before);
  assert.equal(gateway.pid, other);
  assert.deepEqual(
    lines.map(({ msg, role, pid }) => [msg, role, pid]),
    [
      ['a role ended; starting it again', 'core', before],
      ['the role serves again', 'core', core.pid],
    ],
  );
  await supervision.stop();
  for (const pid of [core.pid, other]) assert.ok(!isRunning(pid));
});

test('a role that hangs is ended and started again, and one that answers is left alone', async () => {
  const [auth, core] = [new Plan('auth', {}, 1_000), new Plan('core', {}, 1_000)];
  const lines: LoggedLine[] = [];
  const supervision = await supervise([auth, core], testLog(lines));
  const hung = auth.pid;
  process.kill(hung, 'SIGSTOP');
  await waitFor(() => auth.spawned.length === 2);
  await auth.spawned[1]?.ready;
  assert.ok(!isRunning(hung));
  assert.equal(core.spawned.length, 1);
  assert.equal(lines[0]?.how, 'no answer to 3 pings in 3 s, therefore SIGKILL');
  await supervision.stop();
});

test('roles end in the reverse of the order in which others need them', async () => {
  const [core, gateway] = [new Plan('core'), new Plan('gateway')];
  const supervision = await supervise([core, gateway], QUIET);
  const ends: string[] = [];
  for (const plan of [core, gateway]) void plan.spawned[0]?.ended.then(() => ends.push(plan.name));
  await supervision.stop();
  assert.deepEqual(ends, ['gateway', 'core']);
  assert.equal(core.spawned.length, 1);
});

test('a signal to the whole group of processes starts nothing again', async () => {
  const plan = new Plan('core');
  const supervision = await supervise([plan], QUIET);
  process.kill(plan.pid, 'SIGTERM');
  await supervision.stop();
  assert.equal(plan.spawned.length, 1);
});

test('a first start that fails says why, and leaves nothing running', async () => {
  const [core, gateway] = [new Plan('core'), new Plan('gateway', { FAIL: 'the port is in use' })];
  await assert.rejects(
    supervise([core, gateway], QUIET),
    /^Error: gateway cannot start: the port is in use$/,
  );
  assert.ok(!isRunning(core.pid));
});

test(
  'invariant 5: settings reach a role over the channel, not by its environment or its arguments',
  NEEDS_PROC,
  async () => {
    const plan = new Plan('core', { HUBGATE_UPSTREAMS_DOCKER_IO_PASSWORD: 'hub-s3cret' });
    const supervision = await supervise([plan], QUIET);
    for (const file of ['environ', 'cmdline']) {
      assert.ok(!readFileSync(`/proc/${plan.pid}/${file}`, 'latin1').includes('hub-s3cret'), file);
    }
    await supervision.stop();
  },
);

test('a role whose supervisor has gone while it started ends without a word', async () => {
  const child = fork(FIXTURE, { silent: true });
  child.send({ settings: {} });
  child.disconnect();
  const said = text(child.stderr ?? assert.fail());
  const [code] = await once(child, 'exit');
  assert.deepEqual([code, await said], [0, '']);
});
