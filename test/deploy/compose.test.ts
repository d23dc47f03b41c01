import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { before, test } from 'node:test';
import { readPolicy } from '../../src/access/load-policy.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { readServices, type Service } from '../support/compose-file.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const SEPARATE = path.join(ROOT, 'deploy/compose');
const ROLES = ['core', 'auth', 'gateway', 'account'];

let single: ReadonlyMap<string, Service>;
let separate: ReadonlyMap<string, Service>;
let cluster: ReadonlyMap<string, Service>;

before(async () => {
  single = await readServices(path.join(ROOT, 'compose.yaml'));
  separate = await readServices(path.join(SEPARATE, 'separate.yaml'));
  cluster = await readServices(path.join(SEPARATE, 'cluster.yaml'));
});

function of(name: string): Service {
  return separate.get(name) ?? assert.fail(`no service ${name}`);
}

/** The roles that have this of the home mounted; with `rw`, those that may write it. */
function mountedBy(target: string, access: 'any' | 'rw' = 'any'): string[] {
  return ROLES.filter((role) =>
    of(role).mounts.some((mount) => mount.target === target && (access === 'any' || !mount.readOnly)),
  );
}

test('every container is without rights, its root read-only, and dumps no core', () => {
  for (const [name, service] of [...single, ...separate, ...cluster]) {
    assert.equal(service.read_only, true, name);
    assert.deepEqual(service.cap_drop, ['ALL'], name);
    assert.deepEqual(service.security_opt, ['no-new-privileges:true'], name);
    assert.equal(service.ulimits?.core, 0, name);
    assert.equal(service.ulimits?.nofile, 65_536, name);
    assert.equal(service.privileged, undefined, name);
    if (name !== 'setup') assert.deepEqual(service.cap_add, [], name);
  }
});

test('the roles are four users without root’s rights', () => {
  const users = ROLES.map((role) => of(role).user ?? '');
  assert.equal(new Set(users.flatMap((user) => user.split(':')[0])).size, 4);
  assert.equal(new Set(users.flatMap((user) => user.split(':')[1])).size, 4);
  for (const user of users) assert.match(user, /^1000[1-4]:1000[1-4]$/);
});

test('each role has its own secrets and volumes, and nobody else’s', () => {
  assert.deepEqual(
    ROLES.filter((role) => of(role).secrets.includes('hub-token')),
    ['core'],
  );
  assert.deepEqual(mountedBy('/hubgate/state'), ['auth']);
  assert.deepEqual(mountedBy('/hubgate/config'), ['auth']);
  assert.deepEqual(mountedBy('/hubgate/certs'), ['gateway']);
  assert.deepEqual(mountedBy('/hubgate/log'), ['gateway', 'account']);
  assert.deepEqual(mountedBy('/hubgate/data'), ['core', 'gateway']);
  assert.deepEqual(mountedBy('/hubgate/run/core'), ['core', 'gateway']);
  assert.deepEqual(mountedBy('/hubgate/run/auth'), ['auth', 'gateway', 'account']);
  assert.deepEqual(mountedBy('/hubgate/run/account'), ['gateway', 'account']);
  const environment = { auth: { MALLOC_MMAP_THRESHOLD_: '1048576' } };
  for (const role of ROLES)
    assert.deepEqual(of(role).environment, environment[role as keyof typeof environment] ?? {}, role);
});

test('the gateway writes its log and nothing else, and no two roles write the same', () => {
  const written = (role: string) =>
    of(role)
      .mounts.filter(({ readOnly }) => !readOnly)
      .map(({ source }) => source);
  assert.deepEqual(written('gateway'), ['log']);
  const all = ROLES.flatMap(written);
  assert.equal(new Set(all).size, all.length);
});

test('auth has no network, the core no way in, the gateway none that it shares', () => {
  assert.equal(of('auth').network_mode, 'none');
  assert.equal(of('setup').network_mode, 'none');
  assert.deepEqual(of('core').networks, ['egress']);
  assert.deepEqual(of('gateway').networks, ['ingress']);
  for (const name of ['setup', 'core', 'auth']) assert.deepEqual(of(name).ports, [], name);
});

test('the gateway waits for the two that it asks, and each says by its own socket whether it answers', () => {
  for (const role of ['core', 'auth']) {
    assert.equal(of('gateway').depends_on[role]?.condition, 'service_healthy');
    assert.equal(of(role).healthcheck?.test?.at(-1), `/hubgate/run/${role}/${role}.sock`);
    assert.equal(of(role).depends_on.setup?.condition, 'service_completed_successfully');
  }
});

test('hubgate.yaml of the separate form is read by every role, and the policy beside it is good', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-compose-'));
  try {
    await mkdir(path.join(home, 'config'));
    await cp(path.join(SEPARATE, 'hubgate.yaml'), path.join(home, 'config/hubgate.yaml'));
    await cp(path.join(SEPARATE, 'access.d'), path.join(home, 'config/access.d'), { recursive: true });
    const loaded = await loadConfig({
      directory: home,
      environment: {},
      readsSecrets: false,
      servesClients: true,
    });
    assert.ok('value' in loaded, JSON.stringify(loaded));
    assert.equal(loaded.value.log.audit, path.join(home, 'log/audit.log'));
    const [{ credential } = {}] = loaded.value.upstreams;
    assert.ok(credential !== undefined && 'passwordFile' in credential);
    assert.equal(credential.passwordFile, '/run/secrets/hub-token');
    const policy = await readPolicy(path.join(home, 'config/access.yaml'), Date.now(), { forms: {} });
    assert.ok('value' in policy, JSON.stringify(policy));
  } finally {
    await rm(home, { recursive: true });
  }
});

test('the nodes of a cluster have names and volumes of their own, one certificate, one database and one object store', () => {
  const nodes = ['n1', 'n2', 'n3'].map((name) => cluster.get(name) ?? assert.fail(name));
  const written = nodes.flatMap(({ mounts }) =>
    mounts.filter(({ readOnly }) => !readOnly).map(({ source }) => source),
  );
  assert.equal(written.length, 9);
  assert.equal(new Set(written).size, 9);
  for (const [index, { environment, mounts, ports, secrets }] of nodes.entries()) {
    assert.equal(environment.HUBGATE_CLUSTER_NODE, `n${index + 1}`);
    assert.match(
      environment.HUBGATE_CLUSTER_DATABASE ?? '',
      /^postgres:\/\/hubgate:\$\{.*\}@database\/hubgate$/,
    );
    assert.ok(mounts.some(({ source, readOnly }) => source === 'certs' && readOnly));
    assert.deepEqual(secrets, ['s3-access-key', 's3-secret-key']);
    assert.deepEqual(ports, []);
  }
  const ports = [...cluster.values()].flatMap((service) => service.ports);
  assert.deepEqual(ports, ['8443:8443'], 'the balancer alone is reached from outside');
  assert.equal(cluster.get('setup')?.network_mode, 'none');
});

test('hubgate.yaml of the cluster is read by a node, and its balancer asks the port that it opens', async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-compose-'));
  try {
    await mkdir(path.join(home, 'config'));
    await cp(path.join(SEPARATE, 'cluster/hubgate.yaml'), path.join(home, 'config/hubgate.yaml'));
    const environment = {
      ...cluster.get('n1')?.environment,
      HUBGATE_SERVER_URL: 'https://localhost:8443',
      HUBGATE_CLUSTER_DATABASE: 'postgres://hubgate:secret@database/hubgate',
    };
    const loaded = await loadConfig({ directory: home, environment, readsSecrets: false });
    assert.ok('value' in loaded, JSON.stringify(loaded));
    assert.equal(loaded.value.cluster?.node, 'n1');
    const objects = cluster.get('objects') ?? assert.fail();
    const { endpoint = '', bucket = '' } = loaded.value.cluster.objects ?? {};
    assert.match(objects.command.join(), new RegExp(`mkdir -p /objects/${bucket}\\n`));
    assert.match(objects.command.join(), new RegExp(`--port :${new URL(endpoint).port} `));
    assert.deepEqual(objects.secrets, cluster.get('n1')?.secrets);
    const balancer = await readFile(path.join(SEPARATE, 'cluster/haproxy.cfg'), 'utf8');
    const { listen, admin } = loaded.value.server;
    assert.match(balancer, new RegExp(`check port ${admin.port} `));
    for (const node of ['n1', 'n2', 'n3'])
      assert.ok(balancer.includes(`server ${node} ${node}:${listen.port}\n`));
  } finally {
    await rm(home, { recursive: true });
  }
});
