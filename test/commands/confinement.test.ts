import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { pathsIn } from '../../src/config/home.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { nodeFlags } from '../../src/launch/confinement.ts';
import { accountPageOptions, gatewayOptions } from '../../src/launch/role-options.ts';
import { COMPILED, shareCompiled } from '../support/compiled.ts';
import { freePort } from '../support/free-port.ts';
import { waitFor } from '../support/wait-for.ts';

const BIN = path.join(import.meta.dirname, '../../src/bin/hubgate.ts');
const FIXTURE = path.join(import.meta.dirname, '../support/fixtures/confined.ts');
const SECRETS = { AWS_SECRET_ACCESS_KEY: 'shell-s3cret', HUBGATE_UPSTREAMS_DOCKER_IO_PASSWORD: 'hub-s3cret' };

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-home-'));
});

afterEach(() => rm(home, { recursive: true }));

for (const role of ['gateway', 'account'] as const)
  test(`the flags of ${role} let it have its own files, and nothing else that a program can do`, () =>
    attemptsOf(role));

async function attemptsOf(confined: 'gateway' | 'account'): Promise<void> {
  const paths = pathsIn(home);
  const loaded = await loadConfig({ directory: home, environment: {}, readsSecrets: false });
  assert.ok('value' in loaded);
  for (const directory of [
    paths.runtime[confined],
    path.dirname(paths.users),
    path.dirname(paths.signingKey),
    'data',
  ])
    await mkdir(path.resolve(home, directory), { recursive: true });
  await writeFile(paths.users, 'hashes');
  await writeFile(path.join(home, 'data/blob'), 'bytes');
  const addon = path.join(
    import.meta.dirname,
    '../../node_modules/argon2/prebuilds/linux-x64/argon2.glibc.node',
  );
  const { audit } = loaded.value.log;
  await writeFile(audit, 'lines');
  const [readable, writable] =
    confined === 'gateway'
      ? [path.join(home, 'data/blob'), audit]
      : [audit, path.join(paths.runtime.account, 'file')];
  const args = [FIXTURE, paths.users, readable, writable, addon];
  const attempt = (role: 'gateway' | 'account' | 'core') => {
    const flags = nodeFlags(role, loaded.value, paths);
    return JSON.parse(
      execFileSync(process.execPath, [...flags, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    );
  };
  const { 'read what it needs': reads, 'write what it needs': writes, ...rest } = attempt(confined);
  assert.deepEqual([reads, writes], ['done', 'done']);
  const refusals = {
    'load native code': 'ERR_DLOPEN_DISABLED',
    'use a database': 'ERR_UNKNOWN_BUILTIN_MODULE',
  };
  for (const [what, how] of Object.entries(rest))
    assert.equal(how, refusals[what as keyof typeof refusals] ?? 'ERR_ACCESS_DENIED', what);
  assert.equal(Object.keys(rest).length, 9);
  // What the same attempts come to where nothing forbids them.
  assert.equal(attempt('core')['read a secret'], 'done');
}

test('a confined role may read each file that its options name', async () => {
  const paths = pathsIn(home);
  await mkdir(path.dirname(paths.policy), { recursive: true });
  await writeFile(
    path.join(path.dirname(paths.policy), 'hubgate.yaml'),
    `tls: { certificate: tls/server.pem, key: tls/server.key, clientCa: tls/clients.pem }
cache: { directory: /elsewhere/cache }
hosted: { directory: /elsewhere/hosted, namespaces: { "acme/**": {} } }
log: { audit: /elsewhere/log/audit.log }
`,
  );
  await mkdir(path.join(path.dirname(paths.policy), 'tls'), { recursive: true });
  const loaded = await loadConfig({ directory: home, environment: {}, readsSecrets: false });
  const config = 'value' in loaded ? loaded.value : assert.fail(JSON.stringify(loaded));
  const options = {
    gateway: await gatewayOptions(config, paths),
    account: await accountPageOptions(config, paths),
  };
  // Connecting to a socket is no reading of a file.
  const sockets = [paths.authSocket, paths.coreSocket, paths.accountSocket];
  for (const role of ['gateway', 'account'] as const) {
    const flags = nodeFlags(role, config, paths);
    const readable = flags.flatMap((flag) => flag.match(/^--allow-fs-read=(.*?)\*?$/)?.[1] ?? []);
    const named = pathsAmong(options[role]).filter((file) => !sockets.includes(file));
    assert.ok(named.length > 0, role);
    const missing = named.filter((file) => !readable.some((one) => `${file}/`.startsWith(one)));
    assert.deepEqual(missing, [], `filesOf in src/launch/confinement.ts lacks these for ${role}`);
  }
});

/** Returns the absolute paths among the values of some options. */
function pathsAmong(value: unknown): string[] {
  if (typeof value === 'string') return path.isAbsolute(value) ? [value] : [];
  if (typeof value !== 'object' || value === null || value instanceof URL) return [];
  return Object.values(value).flatMap(pathsAmong);
}

const LINUX_ONLY = { skip: process.platform !== 'linux' && 'there is no /proc to look into' };

test(
  'roles are given no secrets by their environment, no debugger, and nothing of theirs is dumped',
  LINUX_ONLY,
  async () => {
    await using mirror = await startMirror();
    const roles = childrenOf(mirror.pid);
    assert.deepEqual(roles.map(({ role }) => role).sort(), ['account', 'auth', 'core', 'gateway']);
    for (const { pid, role } of roles) {
      const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
      for (const secret of Object.values(SECRETS)) assert.ok(!environment.includes(secret), role);
      // Code that another role could write would be run.
      assert.match(environment, new RegExp(`NODE_COMPILE_CACHE=${home}/run/${role}/compile-cache\0`));
      assert.equal(environment.includes('MALLOC_MMAP_THRESHOLD_='), role === 'auth', role);
      assert.equal(Number.parseInt(readFileSync(`/proc/${pid}/coredump_filter`, 'latin1'), 16), 0, role);
      assert.equal(
        readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('--permission'),
        role === 'gateway' || role === 'account',
      );
    }
    // The optional role is started last, and a signal ends a program that has just begun.
    await waitFor(() => existsSync(pathsIn(home).accountSocket));
    for (const { pid } of [...roles, mirror]) process.kill(pid, 'SIGUSR1');
    // Whoever starts the debugger says so, on standard error, before it serves a request that comes after the
    // signal.
    process.kill(mirror.pid, 'SIGHUP');
    await waitFor(() => mirror.output().includes('read anew'));
    assert.doesNotMatch(mirror.output(), /Debugger listening/);
    assert.deepEqual(childrenOf(mirror.pid), roles);
  },
);

/** A whole mirror, with secrets in its environment. */
async function startMirror() {
  const { HOME, PATH } = process.env;
  const env = {
    ...{ HOME, PATH, ...SECRETS, ...COMPILED },
    HUBGATE_UPSTREAMS_DOCKER_IO_USERNAME: 'acme',
    HUBGATE_SERVER_LISTEN: `127.0.0.1:${await freePort()}`,
    HUBGATE_SERVER_ADMIN: '127.0.0.1:0',
    HUBGATE_SERVER_WORKERS: '1',
  };
  await shareCompiled(home);
  const child: ChildProcessWithoutNullStreams = spawn(process.execPath, [BIN, 'start', '--home', home], {
    env,
  });
  const exit = once(child, 'exit');
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  await Promise.race([waitFor(() => output.includes('docker pull')), exit]);
  assert.match(output, /docker pull/);
  return {
    pid: child.pid ?? assert.fail(),
    output: () => output,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      await exit;
    },
  };
}

function childrenOf(pid: number): { readonly pid: number; readonly role: string }[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
    .trim()
    .split(' ')
    .map(Number)
    .map((child) => {
      const [, role = ''] = /--role\0(\w+)\0/.exec(readFileSync(`/proc/${child}/cmdline`, 'latin1')) ?? [];
      return { pid: child, role };
    });
}
