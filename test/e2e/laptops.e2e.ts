/**
 * The credential helper of laptops, driven by the real docker CLI and podman. A person of an LDAP directory approves the
 * machine on the account page.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { StoredToken } from '../../src/auth/state/auth-state.ts';
import { Browser } from '../support/browser.ts';
import { imageOf } from '../support/image.ts';
import type { TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';
import { installClients, startDocker } from './support/clients.ts';
import { type Result, run } from './support/process.ts';
import { BIND_DN, BIND_PASSWORD, PEOPLE, startSlapd } from './support/slapd.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const HUBGATE = path.join(ROOT, 'src/bin/hubgate.ts');
const HELPER = path.join(ROOT, 'bin/docker-credential-hubgate.cjs');
const PASSWORD = 'p4ssword of a person';

const stack = new AsyncDisposableStack();
let directory: string;
let hubgate: TestHubgate;
let host: string;
let dockerHost: string;

before(async () => {
  await installClients();
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-laptops-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const slapd = stack.use(await startSlapd());
  const bindPasswordFile = path.join(directory, 'bind-password');
  await writeFile(bindPasswordFile, `${BIND_PASSWORD}\n`, { mode: 0o600 });
  await slapd.addPerson('zoe', PASSWORD);
  await slapd.setMembers('payments', ['zoe']);
  // docker and podman unpack an archive without files.
  const pay = imageOf({ layers: [Buffer.alloc(1024)], isRootfs: true });
  const mirror = await withMirror(
    { after: (stop) => stack.defer(stop) },
    {
      policy: 'allow: [{ id: pay, pull: acme/pay, to: "group:corp/payments", private: true }]',
      privateImages: { 'acme/pay': pay },
      configuration: {
        login: {
          corp: {
            ldap: { url: slapd.tlsUrl, ca: slapd.ca, people: PEOPLE, bindDn: BIND_DN, bindPasswordFile },
          },
        },
      },
    },
  );
  hubgate = mirror.hubgate;
  await hubgate.startAccount();
  host = `localhost:${hubgate.port}`;
  stack.use(await startDocker(path.join(directory, 'docker')));
  dockerHost = `unix://${path.join(directory, 'docker/docker.sock')}`;
});

after(() => stack.disposeAsync());

/** The machine of a person: a home, and the helper on its PATH. */
interface Machine {
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
}

async function makeMachine(name: string): Promise<Machine> {
  const home = path.join(directory, name);
  const programs = path.join(home, 'bin');
  await mkdir(programs, { recursive: true });
  await symlink(HELPER, path.join(programs, 'docker-credential-hubgate'));
  await symlink(process.execPath, path.join(programs, 'node'));
  const runtime = path.join(home, 'runtime');
  await mkdir(runtime, { mode: 0o700 });
  await writeFile(path.join(home, 'ca.crt'), hubgate.ca);
  return {
    home,
    env: {
      ...{ HOME: home, PATH: `${programs}:/usr/sbin:/usr/bin:/sbin:/bin`, DOCKER_HOST: dockerHost },
      ...{ XDG_RUNTIME_DIR: runtime, XDG_CONFIG_HOME: path.join(home, '.config') },
      DOCKER_CONFIG: path.join(home, '.docker'),
    },
  };
}

/** Approves the machine that shows this code, on the page. */
async function approve(code: string): Promise<void> {
  const browser = new Browser(hubgate);
  assert.equal((await browser.logIn('zoe', PASSWORD)).status, 303);
  const page = `/account/device?user_code=${code}`;
  assert.equal((await browser.get(page)).status, 200);
  const form = { csrf: await browser.csrf(page), user_code: code, decision: 'approve' };
  assert.equal((await browser.post('/account/device/decide', form)).status, 200);
}

/** Runs `hubgate login`, and approves the machine as soon as it shows its code. */
async function logIn({ home, env }: Machine, machine: string): Promise<StoredToken> {
  const flags = ['--ca', path.join(home, 'ca.crt'), '--machine', machine, '--keychain', 'none'];
  const child = spawn(process.execPath, [HUBGATE, 'login', host, ...flags], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let approved: Promise<void> | undefined;
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk) => {
      said += chunk;
      const [, code] = /type the code (\S+)\. It counts/.exec(said) ?? [];
      if (code !== undefined) approved ??= approve(code);
    });
  const [code] = await once(child, 'close');
  await approved;
  assert.equal(code, 0, said);
  await using state = hubgate.openState();
  const token = (await state.tokens()).find(({ label }) => label === machine);
  return token ?? assert.fail(`there is no token of ${machine}`);
}

async function secretIn({ home }: Machine): Promise<string> {
  const file = path.join(home, '.config/hubgate/logins', `${encodeURIComponent(host)}.json`);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  return JSON.parse(await readFile(file, 'utf8')).secret;
}

/** Returns the files of a machine that contain a text, without those of storages. */
async function filesWith({ home }: Machine, text: string): Promise<string[]> {
  const entries = await readdir(home, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(home, path.join(entry.parentPath, entry.name)))
    .filter((file) => !file.startsWith('storage/'));
  const found: string[] = [];
  for (const file of files) {
    const content = await readFile(path.join(home, file), 'latin1');
    if (content.includes(text) || content.includes(Buffer.from(`zoe:${text}`).toString('base64')))
      found.push(file);
  }
  return found;
}

/** Sees that the token is used, and that only the file of the helper has its secret. */
async function assertOnlyHelperHasIt(machine: Machine, token: StoredToken): Promise<string> {
  const secret = await secretIn(machine);
  await waitFor(async () => {
    await using state = hubgate.openState();
    return (await state.token(token.id))?.lastUsedAt != null;
  });
  assert.match(token.ownerId ?? '', /^corp\//);
  const record = `.config/hubgate/logins/${encodeURIComponent(host)}.json`;
  assert.deepEqual(await filesWith(machine, secret), [record]);
  assert.deepEqual(await filesWith(machine, PASSWORD), []);
  return secret;
}

/** Sees that the token ended on the server, whatever the client says, and that nothing is left on the machine. */
async function assertRevoked(machine: Machine, token: StoredToken, secret: string): Promise<void> {
  await using state = hubgate.openState();
  assert.equal(await state.token(token.id), undefined);
  await waitFor(async () => (await hubgate.ask('/token', { user: 'zoe', password: secret })).status === 401);
  assert.deepEqual(await filesWith(machine, secret), []);
}

function docker({ env }: Machine, ...args: string[]): Promise<Result> {
  return run('docker', args, { env });
}

function podman({ home, env }: Machine, ...args: string[]): Promise<Result> {
  const at = (part: string) => path.join(home, 'storage', part);
  const storage = ['--root', at('root'), '--runroot', at('run'), '--storage-driver', 'vfs'];
  return run('podman', [...storage, ...args], { env });
}

test('the docker CLI pulls by the helper, and its logout revokes the token', async () => {
  const machine = await makeMachine('of-docker');
  const token = await logIn(machine, 'docker laptop');
  const config = JSON.parse(await readFile(path.join(machine.home, '.docker/config.json'), 'utf8'));
  assert.deepEqual(config, { credHelpers: { [host]: 'hubgate' } });
  const pulled = await docker(machine, 'pull', `${host}/acme/pay`);
  assert.equal(pulled.code, 0, pulled.output);
  const secret = await assertOnlyHelperHasIt(machine, token);
  const out = await docker(machine, 'logout', host);
  assert.equal(out.code, 0, out.output);
  await assertRevoked(machine, token, secret);
  assert.notEqual((await docker(machine, 'pull', `${host}/acme/pay`)).code, 0);
});

test('podman pulls by the helper, and its logout revokes the token', async () => {
  const machine = await makeMachine('of-podman');
  const certificates = path.join(machine.home, 'certificates');
  await mkdir(certificates);
  await writeFile(path.join(certificates, 'ca.crt'), hubgate.ca);
  const token = await logIn(machine, 'podman laptop');
  const pull = () => podman(machine, 'pull', '--cert-dir', certificates, `${host}/acme/pay`);
  const pulled = await pull();
  assert.equal(pulled.code, 0, pulled.output);
  const secret = await assertOnlyHelperHasIt(machine, token);
  const out = await podman(machine, 'logout', host);
  assert.equal(out.code, 0, out.output);
  await assertRevoked(machine, token, secret);
  assert.notEqual((await pull()).code, 0);
});
