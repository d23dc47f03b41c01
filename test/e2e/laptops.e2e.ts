/**
 * The credential helper of laptops, driven by the real docker CLI and podman. A person of an LDAP directory
 * approves the machine on the account page.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { StoredToken } from '../../src/auth/state/auth-state.ts';
import { imageOf } from '../support/image.ts';
import type { TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';
import { installClients, startDocker } from './support/clients.ts';
import {
  filesWith,
  logIn,
  type Machine,
  makeMachine,
  type Owner,
  pullByPodman,
  recordOf,
  runDocker,
  runPodman,
} from './support/laptop.ts';
import { BIND_DN, BIND_PASSWORD, PEOPLE, type Slapd, startSlapd } from './support/slapd.ts';

const PASSWORD = 'p4ssword of a person';

const stack = new AsyncDisposableStack();
let directory: string;
let hubgate: TestHubgate;
let host: string;
let owner: Owner;
let docker: string;
let slapd: Slapd;

before(async () => {
  await installClients();
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-laptops-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  slapd = stack.use(await startSlapd());
  const bindPasswordFile = path.join(directory, 'bind-password');
  await writeFile(bindPasswordFile, `${BIND_PASSWORD}\n`, { mode: 0o600 });
  for (const name of ['zoe', 'yan']) await slapd.addPerson(name, PASSWORD);
  await slapd.setMembers('payments', ['zoe', 'yan']);
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
  owner = { hubgate, name: 'zoe', password: PASSWORD };
  docker = path.join(directory, 'docker');
  stack.use(await startDocker(docker));
});

after(() => stack.disposeAsync());

async function secretIn({ home }: Machine): Promise<string> {
  const file = path.join(home, recordOf(hubgate));
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  return JSON.parse(await readFile(file, 'utf8')).secret;
}

/** Sees that the token is used, and that only the file of the helper has its secret. */
async function assertOnlyHelperHasIt(machine: Machine, token: StoredToken): Promise<string> {
  const secret = await secretIn(machine);
  await waitFor(async () => {
    await using state = hubgate.openState();
    return (await state.token(token.id))?.lastUsedAt != null;
  });
  assert.match(token.ownerId ?? '', /^corp\//);
  const record = recordOf(hubgate);
  assert.deepEqual(await filesWith(machine, secret), [record]);
  assert.deepEqual(await filesWith(machine, PASSWORD), []);
  return secret;
}

/**
 * Sees that the token ended on the server, whatever the client says, and that nothing is left on the machine.
 */
async function assertRevoked(machine: Machine, token: StoredToken, secret: string): Promise<void> {
  await using state = hubgate.openState();
  assert.equal(await state.token(token.id), undefined);
  await waitFor(async () => (await hubgate.ask('/token', { user: 'zoe', password: secret })).status === 401);
  assert.deepEqual(await filesWith(machine, secret), []);
}

test('the docker CLI pulls by the helper, and its logout revokes the token', async () => {
  const machine = await makeMachine(path.join(directory, 'of-docker'), owner, docker);
  const { token } = await logIn(machine, owner, 'docker laptop', '--keychain', 'none');
  const config = JSON.parse(await readFile(path.join(machine.home, '.docker/config.json'), 'utf8'));
  assert.deepEqual(config, { credHelpers: { [host]: 'hubgate' } });
  const pulled = await runDocker(machine, 'pull', `${host}/acme/pay`);
  assert.equal(pulled.code, 0, pulled.output);
  const secret = await assertOnlyHelperHasIt(machine, token);
  const out = await runDocker(machine, 'logout', host);
  assert.equal(out.code, 0, out.output);
  await assertRevoked(machine, token, secret);
  assert.notEqual((await runDocker(machine, 'pull', `${host}/acme/pay`)).code, 0);
});

test('podman pulls by the helper, and its logout revokes the token', async () => {
  const machine = await makeMachine(path.join(directory, 'of-podman'), owner, docker);
  const { token } = await logIn(machine, owner, 'podman laptop', '--keychain', 'none');
  const pull = () => pullByPodman(machine, `${host}/acme/pay`);
  const pulled = await pull();
  assert.equal(pulled.code, 0, pulled.output);
  const secret = await assertOnlyHelperHasIt(machine, token);
  const out = await runPodman(machine, 'logout', host);
  assert.equal(out.code, 0, out.output);
  await assertRevoked(machine, token, secret);
  assert.notEqual((await pull()).code, 0);
});

test('docker and podman say what to do when the directory confirms their user no longer', async () => {
  const leaver = { ...owner, name: 'yan' };
  const machine = await makeMachine(path.join(directory, 'of-leaver'), leaver, docker);
  await logIn(machine, leaver, 'laptop of a leaver', '--keychain', 'none');
  const pulls = [
    () => runDocker(machine, 'pull', `${host}/acme/pay`),
    () => pullByPodman(machine, `${host}/acme/pay`),
  ];
  for (const pull of pulls) assert.equal((await pull()).code, 0);
  await slapd.removePerson('yan');
  hubgate.ahead += 16 * 60_000;
  await hubgate.reloadAuth();
  const password = await secretIn(machine);
  await waitFor(async () => (await hubgate.ask('/token', { user: 'yan', password })).status === 401);
  for (const pull of pulls) {
    const { code, output } = await pull();
    assert.notEqual(code, 0);
    assert.ok(output.includes(`your login at corp must be confirmed: open https://${host}/account/`), output);
  }
});
