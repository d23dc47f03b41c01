/** Debian's clients push to hosted repositories, pull what was pushed, and delete it. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ask, type TestResponse } from '../support/http.ts';
import { basic } from '../support/test-hubgate.ts';
import {
  type Containerd,
  type Docker,
  installClients,
  startContainerd,
  startDocker,
} from './support/clients.ts';
import { type RunningHubgate, startHubgate, WORKERS } from './support/hubgate.ts';
import { writeLayout } from './support/oci-layout.ts';
import { mustRun, run } from './support/process.ts';
import { ACCOUNT, startUpstream, type Upstream } from './support/upstream.ts';

const PASSWORD = 's3cret-of-cid';
const POLICY = `allow:
  - { id: ci, push: acme-internal/**, to: cid }
  - { id: full, push: small/**, to: cid }
  - { id: dev, pull: acme-internal/**, to: dev }
  - { id: release, delete: acme-internal/**, to: rel }
  - { id: look, pull: acme-internal/**, to: rel }
  - { id: hub, pull: everything, to: authenticated }
deny:
  - { id: freeze, push: acme-internal/**, tags: "v*", to: authenticated, because: "release freeze, ask #rel" }`;

const stack = new AsyncDisposableStack();
let directory: string;
let upstream: Upstream;
let hubgate: RunningHubgate;
let docker: Docker;
let mirror: string;
let certificates: string;

before(async () => {
  await installClients();
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-push-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const at = (name: string) => path.join(directory, name);
  upstream = stack.use(await startUpstream(at('upstream')));
  await writeLayout(at('image'), 'v1', 'pushed\n');
  await upstream.push(at('image'), 'v1', 'library/alpine:latest');
  await mkdir(at('home/config'), { recursive: true });
  await writeFile(at('hub-password'), `${ACCOUNT.password}\n`, { mode: 0o600 });
  hubgate = stack.use(await startHubgate(at('home'), configuration));
  for (const name of ['cid', 'dev', 'rel']) await hubgate.addUser(name, PASSWORD);
  await hubgate.setPolicy(POLICY);
  mirror = `localhost:${hubgate.port}`;
  certificates = at('certificates');
  await mkdir(certificates);
  await writeFile(path.join(certificates, 'ca.crt'), await readFile(at('home/certs/ca.crt')));
  docker = stack.use(await startDocker(at('docker')));
  await login('cid');
});

after(() => stack.disposeAsync());

function configuration(port: number): string {
  return `
server: { listen: "127.0.0.1:${port}", admin: "127.0.0.1:0", workers: ${WORKERS} }
upstreams: { docker.io: { url: ${upstream.url.origin}, username: ${ACCOUNT.username}, passwordFile: ${directory}/hub-password } }
token: { lifetime: 60s }
hosted:
  namespaces:
    "acme-internal/**": { immutableTags: ["fixed-*"] }
    "small/**": { quota: 1MiB }
log: { format: json }
`;
}

async function login(user: string): Promise<void> {
  const { code, output } = await docker(['login', mirror, '-u', user, '--password-stdin'], {
    stdin: PASSWORD,
  });
  assert.equal(code, 0, output);
}

async function request(target: string, user: string, method = 'GET'): Promise<TestResponse> {
  const ca = await readFile(path.join(hubgate.home, 'certs/ca.crt'), 'utf8');
  const headers = { authorization: basic(user, PASSWORD) };
  return ask({
    tls: true,
    host: 'localhost',
    port: hubgate.port,
    path: target,
    method,
    headers,
    ca,
    agent: false,
  });
}

async function statusOf(name: string, reference: string, user = 'dev'): Promise<number> {
  return (await request(`/v2/acme-internal/${name}/manifests/${reference}`, user)).status;
}

const skopeo = (args: readonly string[], user = 'cid') =>
  run('skopeo', [
    ...['--insecure-policy', args[0] ?? ''],
    ...(args[0] === 'copy' ? ['--dest-creds', `${user}:${PASSWORD}`, '--dest-cert-dir', certificates] : []),
    ...(args[0] === 'delete' ? ['--creds', `${user}:${PASSWORD}`, '--cert-dir', certificates] : []),
    ...args.slice(1),
  ]);

test('docker pushes an image, mounts its layers into another repository, and somebody else pulls it', async () => {
  assert.equal((await docker(['pull', `${mirror}/library/alpine`])).code, 0);
  for (const name of ['docker', 'docker-too']) {
    const image = `${mirror}/acme-internal/${name}:one`;
    await docker(['tag', `${mirror}/library/alpine`, image]);
    const pushed = await docker(['push', image]);
    assert.equal(pushed.code, 0, pushed.output);
    assert.match(pushed.output, /one: digest: sha256:[0-9a-f]{64}/);
    if (name === 'docker-too') assert.match(pushed.output, /Mounted from acme-internal\/docker/);
  }
  await docker([
    'rmi',
    '--force',
    `${mirror}/acme-internal/docker:one`,
    `${mirror}/acme-internal/docker-too:one`,
  ]);
  await login('dev');
  const pulled = await docker(['pull', `${mirror}/acme-internal/docker-too:one`]);
  assert.equal(pulled.code, 0, pulled.output);
  await login('cid');
});

test('docker shows why a push is refused, and does not try it again', async () => {
  const push = async (image: string) => {
    await docker(['tag', `${mirror}/library/alpine`, `${mirror}/${image}`]);
    return docker(['push', `${mirror}/${image}`]);
  };
  const frozen = await push('acme-internal/docker:v1');
  assert.notEqual(frozen.code, 0);
  assert.match(frozen.output, /release freeze, ask #rel/);
  const full = await push('small/app:one');
  assert.notEqual(full.code, 0);
  assert.match(full.output, /denied: .*quota/);
  assert.doesNotMatch(full.output, /Retrying/);
  const mirrored = await push('library/alpine:mine');
  assert.notEqual(mirrored.code, 0);
  assert.match(mirrored.output, /this name is mirrored, and serves pulls only/);
  await login('dev');
  const foreign = await push('acme-internal/docker:two');
  assert.notEqual(foreign.code, 0);
  assert.doesNotMatch(foreign.output, /Retrying/);
  assert.match(foreign.output, /denied: you may not push to this repository/);
  await login('cid');
  assert.equal((await push('acme-internal/docker:fixed-1')).code, 0);
});

test('an immutable tag is not moved, and the client shows since when it is there', async () => {
  const other = path.join(directory, 'other');
  await writeLayout(other, 'v1', 'another one\n');
  const moved = await skopeo(['copy', `oci:${other}:v1`, `docker://${mirror}/acme-internal/docker:fixed-1`]);
  assert.notEqual(moved.code, 0);
  assert.match(moved.output, /immutable/);
});

test('skopeo copies an image of several platforms, and deletes it', async () => {
  const image = `docker://${mirror}/acme-internal/skopeo:one`;
  const copied = await skopeo(['copy', '--all', `oci:${path.join(directory, 'image')}:v1`, image]);
  assert.equal(copied.code, 0, copied.output);
  assert.equal(await statusOf('skopeo', 'one'), 200);
  const refused = await skopeo(['delete', image]);
  assert.notEqual(refused.code, 0);
  assert.equal(await statusOf('skopeo', 'one'), 200);
  const deleted = await skopeo(['delete', image], 'rel');
  assert.equal(deleted.code, 0, deleted.output);
  assert.equal(await statusOf('skopeo', 'one'), 404);
});

test('podman pushes an image, compressed while it is sent', async () => {
  const storage = ['--root', path.join(directory, 'podman'), '--runroot', path.join(directory, 'podman-run')];
  const podman = (...args: string[]) => run('podman', [...storage, '--storage-driver=vfs', ...args]);
  const archive = path.join(directory, 'podman.tar');
  const image = `oci:${path.join(directory, 'image')}:v1`;
  await mustRun('skopeo', [
    '--insecure-policy',
    'copy',
    image,
    `docker-archive:${archive}:localhost/pushed:one`,
  ]);
  const loaded = await podman('load', '--input', archive);
  assert.equal(loaded.code, 0, loaded.output);
  const flags = ['--creds', `cid:${PASSWORD}`, '--cert-dir', certificates];
  const pushed = await podman('push', ...flags, 'localhost/pushed:one', `${mirror}/acme-internal/podman:one`);
  assert.equal(pushed.code, 0, pushed.output);
  assert.equal(await statusOf('podman', 'one'), 200);
});

test('containerd pushes an image with the authority of the mirror', async () => {
  const containerd: Containerd = await startContainerd(path.join(directory, 'containerd'));
  try {
    const archive = path.join(directory, 'image.tar');
    const image = `${mirror}/acme-internal/containerd:one`;
    await mustRun('skopeo', [
      ...['--insecure-policy', 'copy', '--all'],
      ...[`oci:${path.join(directory, 'image')}:v1`, `oci-archive:${archive}:${image}`],
    ]);
    const imported = await containerd.ctr(['images', 'import', '--all-platforms', '--no-unpack', archive]);
    assert.equal(imported.code, 0, imported.output);
    const listed = await containerd.ctr(['images', 'list', '-q']);
    const [name = ''] = listed.output.trim().split('\n');
    const hosts = path.join(directory, 'hosts');
    await mkdir(path.join(hosts, mirror), { recursive: true });
    const host = `[host."https://${mirror}"]\n  capabilities = ["pull", "resolve", "push"]\n  ca = "${certificates}/ca.crt"\n`;
    await writeFile(path.join(hosts, mirror, 'hosts.toml'), `server = "https://${mirror}"\n${host}`);
    const trust = ['--hosts-dir', hosts];
    const pushed = await containerd.ctr([
      'images',
      'push',
      ...trust,
      '--user',
      `cid:${PASSWORD}`,
      image,
      name,
    ]);
    assert.equal(pushed.code, 0, pushed.output);
    assert.equal(await statusOf('containerd', 'one'), 200);
  } finally {
    await containerd[Symbol.asyncDispose]();
  }
});

test('dependency confusion: what an upstream has under a hosted name is never served in its place', async () => {
  const image = path.join(directory, 'image');
  await upstream.push(image, 'v1', 'acme-internal/only-upstream:latest');
  upstream.takeRequests();
  assert.equal(await statusOf('only-upstream', 'latest'), 404);
  assert.deepEqual(upstream.takeRequests(), []);
  // And what is hosted is not the answer for the upstream's name.
  assert.equal((await request('/v2/docker.io/acme-internal/docker/manifests/one', 'dev')).status, 404);
});

test('the audit log says who pushed, mounted and deleted what', async () => {
  const text = await hubgate.run('audit', '--json');
  assert.match(text, /"action":"push"/);
  assert.match(text, /"action":"mount"/);
  assert.match(text, /"action":"delete"/);
});
