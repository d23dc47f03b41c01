import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { FakeHub } from '../support/fake-hub.ts';
import { ask } from '../support/http.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { basic } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { Apart, USERS, type UserName } from './support/apart.ts';

const PASSWORD = 'correct horse battery staple';
const stack = new AsyncDisposableStack();
const open: TestImage = imageOf({ size: 300_000 });
const secret: TestImage = imageOf({ size: 300_000 });

let apart: Apart;

before(async () => {
  assert.equal(process.getuid?.(), 0, 'only root can run the roles as other users');
  const hub = stack.use(await FakeHub.start());
  hub.accounts.push({ ...ACCOUNT, repositories: ['acme/secret'] });
  hub.push('library/alpine', 'latest', open);
  hub.push('acme/secret', 'latest', secret, { private: true });
  apart = stack.use(await Apart.make());
  await apart.write('hub-token', `${ACCOUNT.password}\n`, 0o400, 'core');
  await apart.write(
    'config/hubgate.yaml',
    `server: { listen: "127.0.0.1:${apart.port}", admin: "127.0.0.1:${apart.adminPort}", workers: 1 }
upstreams: { docker.io: { url: "${hub.url.origin}", username: ${ACCOUNT.username}, passwordFile: hub-token } }
log: { format: json, audit: log/audit.log }
`,
    0o644,
  );
  await apart.write(
    'config/access.yaml',
    `version: 1
allow:
  - { id: base, pull: "library/**", to: authenticated }
  - { id: own, pull: acme/secret, to: ana, private: true }
...
`,
    0o644,
  );
  await apart.hubgate('root', ['prepare', '--role', 'gateway']);
  await apart.hubgate('auth', ['user', 'add', 'ana', '--password-stdin'], PASSWORD);
  await apart.start('core', () =>
    apart.hubgate('root', ['cache', 'stats']).then(
      () => true,
      () => false,
    ),
  );
  // The gateway waits for auth, so that nobody has to start them in an order.
  await Promise.all([apart.start('auth', () => true), apart.start('gateway', answers)]);
});

after(() => stack.disposeAsync());

async function get(target: string): Promise<{ readonly status: number; readonly body: Buffer }> {
  const ca = await readFile(path.join(apart.home, 'certs/ca.crt'));
  const headers = { authorization: basic('ana', PASSWORD) };
  return ask({ tls: true, host: 'localhost', port: apart.port, path: target, headers, ca, agent: false });
}

function answers(): Promise<boolean> {
  return get('/v2/').then(
    ({ status }) => status === 200,
    () => false,
  );
}

async function pullsBoth(): Promise<void> {
  for (const [name, image] of [
    ['library/alpine', open],
    ['acme/secret', secret],
  ] as const) {
    assert.equal((await get(`/v2/${name}/manifests/latest`)).status, 200);
    for (const [digest, bytes] of image.blobs) {
      // The first from a fill, the second from the file.
      for (const _ of [1, 2])
        assert.ok((await get(`/v2/${name}/blobs/${digest}`)).body.equals(bytes), digest);
    }
  }
}

function pidOf(role: Exclude<UserName, 'stranger'>): number {
  return apart.roles.get(role)?.pid ?? assert.fail(role);
}

test('the roles run as three users without rights, and public and private images are pulled', async () => {
  for (const role of ['core', 'auth', 'gateway'] as const) {
    const status = readFileSync(`/proc/${pidOf(role)}/status`, 'latin1');
    const id = USERS[role];
    assert.match(status, new RegExp(`^Uid:\\t${id}\\t${id}\\t${id}\\t${id}$`, 'm'));
    assert.match(status, /^Groups:\t ?$/m);
    assert.match(status, /^CapEff:\t0+$/m);
  }
  await pullsBoth();
});

test('each user is refused what is another’s: files, sockets, processes', async () => {
  const at = (file: string) => path.join(apart.home, file);
  const blob = [...open.blobs.keys()][0]?.slice('sha256:'.length) ?? '';
  /**
   * For each attempt, who may. Of those who may, each is seen to succeed: the attempt itself is a good one.
   */
  const allowed: Readonly<Record<string, readonly UserName[]>> = {
    [`read ${at('hub-token')}`]: ['core'],
    [`read ${at('config/users.yaml')}`]: ['auth'],
    [`read ${at('state/signing-key.pem')}`]: ['auth'],
    [`read ${at('state/auth.db')}`]: ['auth'],
    [`read ${at('data/index.db')}`]: ['core'],
    [`read ${at('data/index.db-wal')}`]: ['core'],
    [`read ${at(`data/blobs/sha256/${blob.slice(0, 2)}/${blob}`)}`]: ['core', 'gateway'],
    [`read ${at('certs/server.key')}`]: ['gateway'],
    [`read ${at('certs/ca.key')}`]: [],
    [`read ${at('log/audit.log')}`]: ['gateway'],
    [`append ${at('log/audit.log')}`]: ['gateway'],
    [`append ${at('certs/server.key')}`]: [],
    [`append ${at(`data/blobs/sha256/${blob.slice(0, 2)}/${blob}`)}`]: ['core'],
    [`append ${at('config/hubgate.yaml')}`]: [],
    [`replace ${at('config/hubgate.yaml')}`]: [],
    [`replace ${at('config/access.yaml')}`]: [],
    [`create ${at('config')}`]: ['auth'],
    [`create ${at('certs')}`]: [],
    [`create ${at('data')}`]: ['core'],
    [`create ${at('data/partial')}`]: ['core'],
    [`create ${at('state')}`]: ['auth'],
    [`create ${at('run')}`]: [],
    [`create ${at('run/core')}`]: ['core'],
    [`create ${at('run/auth')}`]: ['auth'],
    [`create ${at('run/gateway/compile-cache')}`]: ['gateway'],
    [`connect ${at('run/core/core.sock')}`]: ['core', 'gateway'],
    [`connect ${at('run/auth/auth.sock')}`]: ['auth', 'gateway'],
    ...Object.fromEntries(
      (['core', 'auth', 'gateway'] as const).flatMap((role) =>
        ['signal', 'environ', 'memory'].map((verb) => [`${verb} ${pidOf(role)}`, [role]]),
      ),
    ),
  };
  let refused = 0;
  for (const user of Object.keys(USERS) as UserName[]) {
    for (const [attempt, how] of await apart.attempt(user, Object.keys(allowed))) {
      const may = allowed[attempt]?.includes(user) ?? assert.fail(attempt);
      if (may) assert.equal(how, 'done', `${user} cannot ${attempt}`);
      else assert.match(how, /^(?:EACCES|EPERM)$/, `${user} can ${attempt}: ${how}`);
      refused += may ? 0 : 1;
    }
  }
  assert.equal(refused, 4 * Object.keys(allowed).length - Object.values(allowed).flat().length);
});

test('a gateway that is given its sockets serves without any network of its own, also after a crash', async () => {
  await apart.roles.get('gateway')?.stop();
  const running = await apart.startWithoutNetwork(answers);
  const { pid } = running;
  assert.deepEqual(networkOf(pid), ['lo']);
  await pullsBoth();
  const ready = await ask({ host: '127.0.0.1', port: apart.adminPort, path: '/readyz', agent: false });
  assert.equal(ready.status, 200, ready.body.toString());

  const worker = workerOf(pid);
  assert.deepEqual(networkOf(worker), ['lo']);
  process.kill(worker, 'SIGKILL');
  await waitFor(() => running.output().includes('a role ended'));
  await waitFor(answers);
  assert.notEqual(workerOf(pid), worker);
});

function networkOf(pid: number): string[] {
  const lines = readFileSync(`/proc/${pid}/net/dev`, 'latin1').trim().split('\n').slice(2);
  return lines.map((line) => line.split(':')[0]?.trim() ?? '');
}

function workerOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ')[0]);
}
