import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { hashPassword } from '../../src/auth/identity/password.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { startPostgres } from '../cluster/support/postgres-server.ts';
import { makeAuthority } from '../support/certificates.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { basic } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { furnish } from './support/as-container.ts';
import { findHelm, type Helm, type Manifest } from './support/helm.ts';
import { buildImage, type Image } from './support/image.ts';
import { type Container, type Contents, podOf } from './support/pod.ts';
import { type PodOptions, type RunningPod, startPod } from './support/run-pod.ts';

const PASSWORD = 's3cret-of-ana';
const NOTHING_HERE = 'version: 1\nallow: [{ pull: acme/**, to: authenticated }]\n...\n';
const FULL = {
  config: { upstreams: { 'ghcr.io': {} }, log: { level: 'debug' } },
  access: { existingConfigMap: 'policy', keys: ['access.yaml', 'team.yaml'] },
  upstreamCredentials: [
    { upstream: 'docker.io', existingSecret: 'hub-account' },
    { upstream: 'ghcr.io', existingSecret: 'github-account' },
  ],
  users: { existingSecret: 'mirror-users' },
  tls: { existingSecret: 'mirror-tls', clientCaConfigMap: 'node-ca' },
  cache: { existingClaim: 'mirror-cache' },
  service: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', annotations: { a: 'b' } },
  networkPolicy: {
    clients: [{ ipBlock: { cidr: '10.0.0.0/8' } }],
    metrics: [{ namespaceSelector: { matchLabels: { name: 'monitoring' } } }],
  },
  serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
};
const CLUSTER = {
  cluster: { enabled: true, database: { existingSecret: 'database' } },
  tls: { existingSecret: 'mirror-tls' },
};
const VALUES = { 'the default values': {}, 'every value': FULL, 'a cluster': CLUSTER };

const stack = new AsyncDisposableStack();
const directory = await mkdtemp(path.join(tmpdir(), 'hubgate-helm-'));
stack.defer(() => rm(directory, { recursive: true, force: true }));
const found = await findHelm();
const skip = typeof found === 'string' ? found : false;
const helm = found as Helm;

after(() => stack.disposeAsync());

function containersOf(manifests: readonly Manifest[]): readonly Container[] {
  const { initContainers, containers } = podOf(manifests);
  return [...initContainers, ...containers];
}

for (const [name, values] of Object.entries(VALUES)) {
  test(`${name}: the chart is without faults, and its pod is as "restricted" wants it`, {
    skip,
  }, async () => {
    assert.match(await helm.lint(values), / 0 chart\(s\) failed/);
    const manifests = await helm.template(values);
    const pod = podOf(manifests);
    assert.equal(pod.securityContext.runAsNonRoot, true);
    assert.equal(pod.securityContext.seccompProfile?.type, 'RuntimeDefault');
    assert.equal(pod.automountServiceAccountToken, false);
    for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) assert.equal(pod[key], undefined, key);
    const kinds = ['name', 'configMap', 'secret', 'projected', 'emptyDir', 'persistentVolumeClaim'];
    for (const volume of pod.volumes)
      for (const kind of Object.keys(volume)) assert.ok(kinds.includes(kind), `${volume.name}: ${kind}`);
    for (const { name, securityContext } of containersOf(manifests)) {
      assert.equal(securityContext.runAsNonRoot, true, name);
      assert.ok(securityContext.runAsUser > 0, name);
      assert.equal(securityContext.allowPrivilegeEscalation, false, name);
      assert.equal(securityContext.privileged, undefined, name);
      assert.equal(securityContext.readOnlyRootFilesystem, true, name);
      assert.deepEqual(securityContext.capabilities, { drop: ['ALL'] }, name);
    }
  });

  test(`${name}: four users, and none that writes what another one does`, { skip }, async () => {
    const roles = containersOf(await helm.template(values)).filter(({ name }) =>
      ['gateway', 'auth', 'core', 'account'].includes(name),
    );
    assert.equal(new Set(roles.map(({ securityContext }) => securityContext.runAsUser)).size, 4);
    const written = roles.flatMap(({ volumeMounts }) =>
      volumeMounts.filter(({ readOnly }) => !readOnly).map((mount) => `${mount.name}/${mount.subPath ?? ''}`),
    );
    assert.equal(new Set(written).size, written.length, written.join(' '));
  });

  test(`${name}: hubgate.yaml is one that a start takes`, { skip }, async () => {
    const config = (await helm.template(values)).find(({ metadata }) => metadata.name === 'hubgate-config');
    const home = await mkdtemp(path.join(directory, 'home-'));
    await mkdir(path.join(home, 'config'));
    await writeFile(path.join(home, 'config/hubgate.yaml'), config?.data?.['hubgate.yaml'] ?? '');
    const scope = { readsSecrets: false, needsNoDatabase: true };
    const loaded = await loadConfig({ directory: home, environment: {}, ...scope });
    assert.ok('value' in loaded, JSON.stringify(loaded));
    assert.ok(loaded.value.server.names.includes('hubgate.mirrors.svc'));
    assert.equal(loaded.value.server.admin.port, 9090);
  });
}

test('each secret is in one container', { skip }, async () => {
  const manifests = await helm.template(FULL);
  const { volumes } = podOf(manifests);
  const holders = (secret: string) => {
    const named = volumes.filter((volume) => JSON.stringify(volume).includes(`"${secret}"`));
    return containersOf(manifests)
      .filter(
        ({ env, volumeMounts }) =>
          JSON.stringify(env ?? []).includes(`"${secret}"`) ||
          volumeMounts.some((mount) => named.some((volume) => volume.name === mount.name)),
      )
      .map(({ name }) => name);
  };
  assert.deepEqual(holders('hub-account'), ['core']);
  assert.deepEqual(holders('github-account'), ['core']);
  assert.deepEqual(holders('mirror-users'), ['auth']);
  assert.deepEqual(holders('mirror-tls'), ['gateway']);
});

test('in a cluster the gateway does not know the database, and pods of the chart alone reach the nodes', {
  skip,
}, async () => {
  const manifests = await helm.template(CLUSTER);
  const know = containersOf(manifests).filter(({ env }) => JSON.stringify(env ?? []).includes('"database"'));
  assert.deepEqual(
    know.map(({ name }) => name),
    ['auth', 'core'],
  );
  const specOf = (kind: string) => manifests.find((one) => one.kind === kind)?.spec;
  assert.equal(Object(specOf('StatefulSet')).replicas, 3);
  assert.equal(Object(specOf('PodDisruptionBudget')).maxUnavailable, 1);
  const { matchLabels } = Object(specOf('StatefulSet')).selector;
  const [, peers] = Object(specOf('NetworkPolicy')).ingress;
  assert.deepEqual(peers, {
    ports: [{ port: 'peers', protocol: 'TCP' }],
    from: [{ podSelector: { matchLabels } }],
  });
  assert.ok(!manifests.some(({ kind }) => kind === 'PersistentVolumeClaim'));
});

test('a cluster without what its nodes share is refused in words', { skip }, async () => {
  const { cluster, tls } = CLUSTER;
  for (const [values, words] of [
    [{ cluster }, /tls\.existingSecret is missing/],
    [{ cluster: { enabled: true }, tls }, /cluster\.database\.existingSecret is missing/],
    [{ ...CLUSTER, state: { existingClaim: 'mine' } }, /each pod has volumes of its own/],
  ] as const)
    await assert.rejects(helm.template(values), words);
});

test('a value that means nothing, and a second replica, are refused', { skip }, async () => {
  for (const values of [{ replicas: 2 }, { config: { server: { url: 'http://mirror.corp' } } }])
    await assert.rejects(helm.template(values), /don't meet the specifications of the schema/);
});

/** The two pods of the suite are in one home each, and one image. */
let image: Promise<Image> | undefined;

function imageOnce(): Promise<Image> {
  image ??= (async () => {
    await chmod(directory, 0o755);
    const built = await buildImage(directory);
    await furnish(built.root);
    return built;
  })();
  return image;
}

async function startHub(): Promise<FakeHub> {
  const hub = stack.use(await FakeHub.start());
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', 'latest', imageOf());
  return hub;
}

function valuesFor(hub: FakeHub, port: number) {
  return {
    config: {
      server: { url: `https://localhost:${port}`, workers: 1 },
      upstreams: { 'docker.io': { url: hub.url.origin } },
      log: { format: 'json' },
    },
    upstreamCredentials: [{ upstream: 'docker.io', existingSecret: 'hub-account' }],
  };
}

async function serve(
  values: object,
  port: number,
  contents: Contents,
  node?: PodOptions['node'],
): Promise<RunningPod> {
  const manifests = await helm.template(values);
  const options = { directory, contents: { 'hub-account': ACCOUNT, ...contents }, port };
  return stack.use(await startPod(await imageOnce(), manifests, { ...options, ...(node && { node }) }));
}

/** Returns a certificate of a company for the mirror, and the certificate of the company's CA. */
function localCertificate() {
  const authority = makeAuthority('a company');
  const altNames = [{ type: 2, value: 'localhost' }];
  const { cert, key } = authority.issue({ commonName: 'localhost', altNames, usage: { serverAuth: true } });
  return { cert, key, ca: authority.cert };
}

function statusFor(user: string, port: number, ca: string): Promise<number> {
  const headers = { authorization: basic(user, PASSWORD) };
  const path = '/v2/library/alpine/manifests/latest';
  return ask({ tls: true, host: 'localhost', port, path, headers, ca, agent: false }).then(
    ({ status }) => status,
  );
}

test('the pod of few values serves, and an edit of the policy holds', { skip }, async () => {
  const hub = await startHub();
  const port = await freePort();
  const pod = await serve(valuesFor(hub, port), port, {});
  await pod.inside('auth', ['hubgate', 'user', 'add', 'ana', '--password-stdin'], PASSWORD);
  const { output: ca } = await pod.inside('gateway', ['cat', '/hubgate/certs/ca.crt']);
  await waitFor(async () => (await statusFor('ana', port, ca)) === 200);
  const login = basic(ACCOUNT.username, ACCOUNT.password);
  assert.ok(hub.log.some(({ headers }) => headers.authorization === login));
  const page = await ask({ tls: true, host: 'localhost', port, path: '/account/', ca, agent: false });
  assert.deepEqual([page.status, page.headers.location], [303, '/account/login?to=%2Faccount%2F']);
  await pod.write('access', { 'hubgate-access': { 'access.yaml': NOTHING_HERE } });
  await waitFor(async () => (await statusFor('ana', port, ca)) === 403);
  for (const file of ['certs/ca.key', 'data/index.db', 'state/auth.db', 'config/users.yaml'])
    assert.notEqual((await pod.inside('gateway', ['grep', '-q', '.', `/hubgate/${file}`])).code, 0, file);
});

test('two pods of a cluster serve the same users and the policy that is mounted', { skip }, async () => {
  const database = stack.use(await startPostgres());
  const hub = await startHub();
  const certificate = localCertificate();
  const contents = {
    database: { url: await database.database() },
    'mirror-tls': { 'tls.crt': certificate.cert, 'tls.key': certificate.key },
  };
  const ports = [await freePort(), await freePort()];
  const pods: RunningPod[] = [];
  for (const [index, port] of ports.entries()) {
    const values = { ...valuesFor(hub, port), ...CLUSTER };
    const node = { name: `hubgate-${index}`, port: await freePort() };
    pods.push(await serve(values, port, contents, node));
  }
  const [first = assert.fail(), second = assert.fail()] = pods;
  await first.inside('auth', ['hubgate', 'user', 'add', 'ana', '--password-stdin'], PASSWORD);
  const statuses = () => Promise.all(ports.map((port) => statusFor('ana', port, certificate.ca)));
  await waitFor(async () => (await statuses()).every((status) => status === 200));
  // The policy is mounted, so that no node can write it: each of them goes by its own mount.
  await first.write('access', { 'hubgate-access': { 'access.yaml': NOTHING_HERE } });
  await waitFor(async () => (await statuses())[0] === 403);
  await second.write('access', { 'hubgate-access': { 'access.yaml': NOTHING_HERE } });
  await waitFor(async () => (await statuses()).every((status) => status === 403));
});

test('the pod of secrets serves, and goes by what replaces them', { skip }, async () => {
  const hub = await startHub();
  const port = await freePort();
  const values = {
    ...valuesFor(hub, port),
    access: { existingConfigMap: 'policy', keys: ['team.yaml'] },
    users: { existingSecret: 'users' },
    tls: { existingSecret: 'tls' },
  };
  const { cert, key, ca } = localCertificate();
  const hash = await hashPassword(PASSWORD, { memory: 19 * 2 ** 20, passes: 2 });
  const users = (name: string) => ({
    'users.yaml': `version: 1\nusers:\n  ${name}: { password: "${hash}" }\n`,
  });
  const policy = 'version: 1\nallow: [{ pull: library/**, to: authenticated }]\n...\n';
  const contents = {
    users: users('ana'),
    tls: { 'tls.crt': cert, 'tls.key': key },
    policy: { 'team.yaml': policy },
  };
  const pod = await serve(values, port, contents);
  assert.equal(await statusFor('ana', port, ca), 200);
  await pod.write('auth-config', { ...contents, users: users('bo') });
  await waitFor(async () => (await statusFor('bo', port, ca)) === 200);
  await waitFor(async () => (await statusFor('ana', port, ca)) === 401);
  await pod.write('auth-config', { ...contents, users: users('bo'), policy: { 'team.yaml': NOTHING_HERE } });
  await waitFor(async () => (await statusFor('bo', port, ca)) === 403);
});
