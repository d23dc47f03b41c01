/** The token of a laptop in GNOME's keyring, which docker's CLI and podman get by the helper. */
import assert from 'node:assert/strict';
import { chmod, copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { imageOf } from '../support/image.ts';
import { PASSWORD, type TestHubgate } from '../support/test-hubgate.ts';
import { withMirror } from '../support/with-mirror.ts';
import { installClients, startDocker } from './support/clients.ts';
import { type Keyring, startKeyring } from './support/keyring.ts';
import {
  filesWith,
  logIn,
  type Machine,
  makeMachine,
  type Owner,
  pullByPodman,
  recordOf,
  runDocker,
} from './support/laptop.ts';
import { ensurePackages, unpackPackage } from './support/packages.ts';
import { mustRun, type Result, run } from './support/process.ts';

const stack = new AsyncDisposableStack();
let directory: string;
let docker: string;
let hubgate: TestHubgate;
let owner: Owner;
let host: string;
let image: string;

before(async () => {
  await installClients();
  await ensurePackages({
    ...{ 'secret-tool': 'libsecret-tools', strace: 'strace' },
    ...{ 'gnome-keyring-daemon': 'gnome-keyring', gdbus: 'libglib2.0-bin' },
    ...{ 'dbus-run-session': 'dbus' },
  });
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-keychain-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  // docker and helm keep every login by this program where it is installed, also where no desktop is.
  await unpackPackage('golang-docker-credential-helpers', path.join(directory, 'store'));
  // docker and podman unpack an archive without files.
  const tools = imageOf({ layers: [Buffer.alloc(1024)], isRootfs: true });
  const policy = 'allow: [{ id: tools, pull: acme/tools, to: zoe, private: true }]';
  const mirror = await withMirror(
    { after: (stop) => stack.defer(stop) },
    { policy, users: ['zoe'], privateImages: { 'acme/tools': tools } },
  );
  hubgate = mirror.hubgate;
  await hubgate.startAccount();
  owner = { hubgate, name: 'zoe', password: PASSWORD };
  host = `localhost:${hubgate.port}`;
  image = `${host}/acme/tools`;
  docker = path.join(directory, 'docker');
  stack.use(await startDocker(docker));
});

after(() => stack.disposeAsync());

async function makeMachineWithStore(name: string): Promise<Machine> {
  const machine = await makeMachine(path.join(directory, name), owner, docker);
  const program = 'docker-credential-secretservice';
  await copyFile(path.join(directory, 'store/usr/bin', program), path.join(machine.home, 'bin', program));
  return machine;
}

/** A machine with a desktop session, whose keyring is open. */
async function makeDesktop(name: string): Promise<{ machine: Machine; keyring: Keyring }> {
  const machine = await makeMachineWithStore(name);
  const keyring = stack.use(await startKeyring(machine.env));
  await keyring.unlock();
  return { machine: { ...machine, env: keyring.env }, keyring };
}

function callHelper({ env }: Machine, verb: string, input = host): Promise<Result> {
  return run('docker-credential-hubgate', [verb], { env, stdin: input });
}

async function secretOf(machine: Machine): Promise<string> {
  const { code, output } = await callHelper(machine, 'get');
  assert.equal(code, 0, output);
  return JSON.parse(output).Secret;
}

async function isRevoked(id: string): Promise<boolean> {
  await using state = hubgate.openState();
  return (await state.token(id)) === undefined;
}

test('the token is in the keyring and in no file, and docker and podman get it', async () => {
  const { machine } = await makeDesktop('open');
  const { token, said } = await logIn(machine, owner, 'desktop');
  assert.match(
    said,
    /The token is in the keychain \(secretservice\); docker logout localhost:\d+ revokes it/,
  );
  const record = JSON.parse(await readFile(path.join(machine.home, recordOf(hubgate)), 'utf8'));
  assert.deepEqual([record.keychain, 'secret' in record], ['secretservice', false]);
  const secret = await secretOf(machine);
  assert.deepEqual(await filesWith(machine, secret), []);
  assert.deepEqual(JSON.parse((await callHelper(machine, 'list')).output), { [host]: 'zoe' });
  for (const pulled of [await runDocker(machine, 'pull', image), await pullByPodman(machine, image)])
    assert.equal(pulled.code, 0, pulled.output);
  // docker itself would look for the login under the bare name.
  const found = await run('docker-credential-secretservice', ['list'], { env: machine.env });
  assert.deepEqual(Object.keys(JSON.parse(found.output)), [`https://${host}/hubgate`]);
  const out = await runDocker(machine, 'logout', host);
  assert.equal(out.code, 0, out.output);
  assert.equal(await isRevoked(token.id), true);
  assert.equal((await run('docker-credential-secretservice', ['list'], { env: machine.env })).output, '{}\n');
  assert.notEqual((await runDocker(machine, 'pull', image)).code, 0);
});

test('no program gets a secret by its arguments or its environment, which others of the machine can see', async () => {
  const { machine } = await makeDesktop('traced');
  const secret = 'a secret that is in no argument';
  const trace = path.join(machine.home, 'trace');
  const traced = (verb: string, input: string) =>
    mustRun('strace', ['-f', '-v', '-s', '4096', '-e', 'trace=execve', '-A', '-o', trace, ...call(verb)], {
      env: machine.env,
      stdin: input,
    });
  const call = (verb: string) => ['docker-credential-hubgate', verb];
  await traced('store', JSON.stringify({ ServerURL: host, Username: 'zoe', Secret: secret }));
  assert.match(await traced('get', host), new RegExp(secret));
  await traced('erase', host);
  const programs = await readFile(trace, 'utf8');
  for (const verb of ['store', 'get', 'erase'])
    assert.match(programs, new RegExp(`execve\\(.*docker-credential-secretservice", "${verb}"`));
  assert.doesNotMatch(programs, new RegExp(secret));
});

test('a keyring that is locked is named, keeps the login at a logout, and gives it when it is open', async () => {
  const { machine, keyring } = await makeDesktop('locked');
  const { token } = await logIn(machine, owner, 'locked desktop');
  await keyring.lock();
  const pulled = await runDocker(machine, 'pull', image);
  assert.notEqual(pulled.code, 0);
  assert.match(pulled.output, /the keychain \(secretservice\) does not open; unlock it/);
  const closed = await runDocker(machine, 'logout', host);
  assert.match(
    closed.output,
    /does not open, so the login is still in it: unlock it and log out again, or revoke/,
  );
  assert.equal(await isRevoked(token.id), false);
  await keyring.unlock();
  assert.equal((await runDocker(machine, 'pull', image)).code, 0);
  await runDocker(machine, 'logout', host);
  assert.equal(await isRevoked(token.id), true);
});

test('where the keyring is locked at the login, the token is in a file, and the command says why', async () => {
  const { machine, keyring } = await makeDesktop('locked-before');
  const { token } = await logIn(machine, owner, 'first login');
  await keyring.lock();
  const { said } = await logIn(machine, owner, 'second login');
  assert.match(said, /The keychain \(secretservice.*\) keeps nothing: it is locked, or there is none/);
  assert.match(said, new RegExp(`The token is in .*${recordOf(hubgate)}`));
  assert.match(said, new RegExp(`The earlier token could not be revoked .*; revoke ${token.id} at https:`));
  assert.equal((await stat(path.join(machine.home, recordOf(hubgate)))).mode & 0o777, 0o600);
  assert.equal((await runDocker(machine, 'pull', image)).code, 0);
});

test('where there is no session, the token is in a file that only its user can read', async () => {
  const machine = await makeMachineWithStore('server');
  const { token, said } = await logIn(machine, owner, 'server');
  assert.match(said, /keeps nothing: it is locked, or there is none in this session/);
  assert.deepEqual(await filesWith(machine, await secretOf(machine)), [recordOf(hubgate)]);
  await runDocker(machine, 'logout', host);
  assert.equal(await isRevoked(token.id), true);
});

test('a keychain that never answers, and ignores that it should end, does not hold up docker for ever', async () => {
  const { machine } = await makeDesktop('silent');
  await logIn(machine, owner, 'silent desktop');
  const program = path.join(machine.home, 'bin/docker-credential-secretservice');
  await writeFile(program, '#!/bin/sh\ntrap "" TERM\nwhile :; do sleep 1; done\n');
  await chmod(program, 0o755);
  const { code, output } = await callHelper(machine, 'get');
  assert.equal(code, 1);
  assert.match(output, /the keychain \(secretservice\) does not open/);
});
