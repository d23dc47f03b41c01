import assert from 'node:assert/strict';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { readServices, type Service } from '../support/compose-file.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { freePort } from '../support/free-port.ts';
import { ask, type TestResponse } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { basic } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { asCommand, furnish, type Places } from './support/as-container.ts';
import { buildImage, type Image } from './support/image.ts';
import { mustRun, type RunningProcess, run, startProcess } from './support/process.ts';

/**
 * What deploy/compose/separate.yaml says, done by hand: its setup, and its roles as their users with their
 * mounts.
 */
const COMPOSE = path.join(import.meta.dirname, '../../deploy/compose');
const PASSWORD = 's3cret-of-ana';
const LAYER = Buffer.from('the one layer\n');
const PUBLIC = imageOf({ layers: [LAYER] });
const ROLES = ['core', 'auth', 'gateway'] as const;

const stack = new AsyncDisposableStack();
const running = new Map<string, RunningProcess>();
let services: ReadonlyMap<string, Service>;
let image: Image;
let places: Places;
let port: number;
let hub: FakeHub;
let ca: string;

before(async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-separate-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  await chmod(directory, 0o755);
  services = await readServices(path.join(COMPOSE, 'separate.yaml'));
  image = await buildImage(directory);
  await furnish(image.root);

  hub = stack.use(await FakeHub.start());
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', 'latest', PUBLIC);
  port = await freePort();
  const admin = await freePort();
  places = await makePlaces(directory);
  await writeFile(places.configs.hubgate ?? '', configuration(admin));

  await mustRun('env', asCommand(service('setup'), image, places));
  for (const role of ROLES) running.set(role, stack.use(await start(role, admin)));
  ca = await readFile(path.join(places.sources.certs ?? '', 'ca.crt'), 'utf8');
});

after(() => stack.disposeAsync());

function service(name: string): Service {
  return services.get(name) ?? assert.fail(`no service ${name}`);
}

/** A folder for each volume, as empty and as root's as a new one is, and the files that the host brings. */
async function makePlaces(directory: string): Promise<Places> {
  const at = (name: string) => path.join(directory, 'volumes', name);
  const names = [...services.values()].flatMap(({ mounts }) => mounts.map(({ source }) => source));
  const sources = Object.fromEntries(names.map((name) => [name, at(path.basename(name))]));
  for (const source of Object.values(sources)) await mkdir(source, { recursive: true });
  await cp(path.join(COMPOSE, 'access.d'), at('access.d'), { recursive: true });
  await writeFile(at('hub-token'), ACCOUNT.password, { mode: 0o400 });
  await chown(at('hub-token'), 10_001, 10_001);
  return { sources, configs: { hubgate: at('hubgate.yaml') }, secrets: { 'hub-token': at('hub-token') } };
}

function configuration(admin: number): string {
  const { username } = ACCOUNT;
  return `
server: { url: "https://localhost:${port}", listen: ":${port}", admin: "127.0.0.1:${admin}", workers: 1 }
upstreams:
  docker.io: { url: ${hub.url.origin}, username: ${username}, passwordFile: /run/secrets/hub-token }
log: { audit: log/audit.log, format: json }
`;
}

/** Resolves when its own health check says so. */
async function start(role: (typeof ROLES)[number], admin: number): Promise<RunningProcess> {
  const test = service(role).healthcheck?.test?.slice(1) ?? imageHealthCheck(admin);
  const check = asCommand(service(role), image, places, test);
  return startProcess('env', asCommand(service(role), image, places), {
    ready: async () => (await run('env', check)).code === 0,
  });
}

function imageHealthCheck(admin: number): string[] {
  const [, check = ''] = /CMD (\[.*\])$/.exec(image.instruction('HEALTHCHECK')) ?? [];
  return JSON.parse(check.replace(':9090', `:${admin}`));
}

/** What a command does as a role, in a container like its own. */
function inside(role: string, ...command: readonly string[]) {
  return run('env', asCommand(service(role), image, places, command));
}

function request(target: string): Promise<TestResponse> {
  const headers = { authorization: basic('ana', PASSWORD) };
  return ask({ tls: true, host: 'localhost', port, path: target, ca, headers, agent: false });
}

test('a user is added in auth’s container, and pulls through the three', async () => {
  const hubgate = ['hubgate', 'user', 'add', 'ana', '--password-stdin'];
  await mustRun('env', asCommand(service('auth'), image, places, hubgate), { stdin: PASSWORD });
  await waitFor(async () => (await request('/v2/')).status === 200);
  assert.equal((await request('/v2/library/alpine/manifests/latest')).status, 200);
  const [layer] = PUBLIC.layers;
  for (const _ of ['filled', 'from the store']) {
    const blob = await request(`/v2/library/alpine/blobs/${layer}`);
    assert.deepEqual([blob.status, blob.body], [200, LAYER]);
  }
  assert.ok(
    hub.log.some(({ headers }) => headers.authorization === basic(ACCOUNT.username, ACCOUNT.password)),
  );
});

test('an edit of the policy on the host holds', async () => {
  const file = path.join(places.sources['./access.d'] ?? '', 'access.yaml');
  await writeFile(file, 'version: 1\nallow: [{ pull: acme/**, to: authenticated }]\n...\n');
  await waitFor(async () => (await request('/v2/library/alpine/manifests/latest')).status === 403);
  await cp(path.join(COMPOSE, 'access.d/access.yaml'), file);
  await waitFor(async () => (await request('/v2/library/alpine/manifests/latest')).status === 200);
});

test('no role reads or writes what is another’s', async () => {
  // `grep -q .`, because what is mounted into one leaves an empty file in the image’s root, which they share
  // here.
  const forbidden: readonly (readonly [string, string, string])[] = [
    ['gateway', 'the Hub’s password', 'grep -q . /run/secrets/hub-token'],
    ['gateway', 'password hashes', 'grep -q . /hubgate/config/users.yaml'],
    ['gateway', 'the signing key', 'grep -q . /hubgate/state/signing-key.pem'],
    ['gateway', 'the key of the CA', 'grep -q . /hubgate/certs/ca.key'],
    ['gateway', 'the index of the cache', 'grep -q . /hubgate/data/index.db'],
    ['gateway', 'a write into the cache', 'touch /hubgate/data/blobs/x'],
    ['gateway', 'another socket in the place of the core’s', 'rm /hubgate/run/core/core.sock'],
    ['gateway', 'another socket in the place of auth’s', 'rm /hubgate/run/auth/auth.sock'],
    ['gateway', 'a certificate of its own making', 'touch /hubgate/certs/server.crt'],
    ['auth', 'the Hub’s password', 'grep -q . /run/secrets/hub-token'],
    ['auth', 'the key of the server', 'grep -q . /hubgate/certs/server.key'],
    ['auth', 'the cache', 'ls /hubgate/data/blobs'],
    ['auth', 'the policy', 'touch /hubgate/config/access.d/mine.yaml'],
    ['auth', 'the configuration', 'rm /hubgate/config/hubgate.yaml'],
    ['core', 'password hashes', 'grep -q . /hubgate/config/users.yaml'],
    ['core', 'the key of the server', 'grep -q . /hubgate/certs/server.key'],
    ['core', 'the signing key', 'grep -q . /hubgate/state/signing-key.pem'],
    ['core', 'auth’s socket', 'ls /hubgate/run/auth/auth.sock'],
    ['core', 'the program', 'touch /opt/hubgate/src/bin/hubgate.ts'],
  ];
  for (const [role, what, command] of forbidden)
    assert.notEqual((await inside(role, 'sh', '-c', command)).code, 0, `${role}: ${what}`);
  // They are there for those whom they are for.
  for (const [role, file] of [
    ['core', '/run/secrets/hub-token'],
    ['auth', '/hubgate/config/users.yaml'],
    ['auth', '/hubgate/state/signing-key.pem'],
    ['gateway', '/hubgate/certs/server.key'],
  ] as const)
    assert.equal((await inside(role, 'sh', '-c', `grep -q . ${file}`)).code, 0, file);
});

test('client certificates are issued in the container of the setup, and revoked in auth’s', async () => {
  const issue = 'hubgate cert issue node-7 --out /tmp/node-7 && cat /tmp/node-7/client.cert';
  const { code, output } = await inside('setup', 'sh', '-c', issue);
  assert.equal(code, 0, output);
  assert.match(output, /BEGIN CERTIFICATE/);
  const revoked = await inside('auth', 'hubgate', 'cert', 'revoke', 'node-7');
  assert.equal(revoked.code, 0, revoked.output);
});

test('no role has a capability, and auth has no network', async () => {
  for (const role of ROLES) {
    const { output } = await inside(role, 'cat', '/proc/self/status');
    for (const set of ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb'])
      assert.match(output, new RegExp(`^Cap${set}:\\s+0+$`, 'm'), `${role} ${set}`);
    assert.match(output, /^NoNewPrivs:\s+1$/m);
  }
  const connect = `require('node:net').connect(${port}, '127.0.0.1').on('connect', () => process.exit(0)).on('error', () => process.exit(1))`;
  assert.equal((await inside('core', 'node', '-e', connect)).code, 0);
  assert.equal((await inside('auth', 'node', '-e', connect)).code, 1);
});

test('nothing of a password is in what the containers print, and the audit log is the gateway’s', async () => {
  for (const role of ROLES) assert.doesNotMatch(running.get(role)?.output() ?? '', /the password/, role);
  assert.equal((await stat(path.join(places.sources.log ?? '', 'audit.log'))).uid, 10_003);
});
