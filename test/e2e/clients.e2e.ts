import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { FakeIssuer } from '../support/fake-issuer.ts';
import { ask } from '../support/http.ts';
import { basic } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
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

const PASSWORD = 's3cret-of-ana';

/** The default policy, and nothing else. */
const DEFAULT = 'allow:\n  - { pull: everything, to: authenticated }';

const stack = new AsyncDisposableStack();
let directory: string;
let issuer: FakeIssuer;
let upstream: Upstream;
let hubgate: RunningHubgate;
let docker: Docker;
let containerd: Containerd;
let mirror: string;
let digest: string;

before(async () => {
  await installClients();
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-e2e-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const at = (name: string) => path.join(directory, name);

  issuer = stack.use(await FakeIssuer.start());
  upstream = stack.use(await startUpstream(at('upstream')));
  digest = await writeLayout(at('alpine'), 'v1', 'the first one\n');
  await writeLayout(at('secret'), 'v1', 'nobody’s business\n');
  await upstream.push(at('alpine'), 'v1', 'library/alpine:latest');
  await upstream.push(at('secret'), 'v1', 'acme/secret:latest');

  await mkdir(at('home/config'), { recursive: true });
  await writeFile(at('hub-password'), `${ACCOUNT.password}\n`, { mode: 0o600 });
  hubgate = stack.use(await startHubgate(at('home'), configuration));
  await hubgate.addUser('ana', PASSWORD);
  await hubgate.addUser('bo', PASSWORD);
  mirror = `localhost:${hubgate.port}`;
  docker = stack.use(await startDocker(at('docker'), `https://${mirror}`));
  containerd = stack.use(await startContainerd(at('containerd')));
});

after(() => stack.disposeAsync());

function configuration(port: number): string {
  return `
server: { listen: "127.0.0.1:${port}", admin: "127.0.0.1:0", workers: ${WORKERS} }
upstreams:
  docker.io: { url: ${upstream.url.origin}, username: ${ACCOUNT.username}, passwordFile: ${directory}/hub-password }
  ghcr.io: { url: ${upstream.url.origin} }
cache: { tagFreshness: 2s }
token: { refresh: 1d }
federation: { ci: { issuer: "${issuer.url}", audience: mirror.corp, subject: "\${repository}@\${ref}" } }
log: { format: json }
`;
}

function request(target: string, user = 'ana', method = 'GET') {
  const headers = { authorization: basic(user, PASSWORD) };
  return readFile(path.join(hubgate.home, 'certs/ca.crt'), 'utf8').then((ca) => {
    return ask({
      tls: true,
      host: 'localhost',
      port: hubgate.port,
      ca,
      path: target,
      method,
      headers,
      agent: false,
    });
  });
}

/** The policy takes effect within a second; a request tells when it has. */
async function login(user: string): Promise<void> {
  const { code, output } = await docker(['login', mirror, '-u', user, '--password-stdin'], {
    stdin: PASSWORD,
  });
  assert.equal(code, 0, output);
  assert.match(output, /Login Succeeded/);
}

/** As on a machine that has never seen the image. */
async function forget(image: string): Promise<void> {
  await docker(['rmi', '--force', image]);
  await docker(['image', 'prune', '--all', '--force']);
}

async function pull(image: string): Promise<string> {
  await forget(image);
  const { code, output } = await docker(['pull', image]);
  assert.equal(code, 0, output);
  return output;
}

test('docker login takes the right password and no other', async () => {
  const wrong = await docker(['login', mirror, '-u', 'ana', '--password-stdin'], { stdin: 'wrong' });
  assert.notEqual(wrong.code, 0);
  assert.match(wrong.output, /incorrect username or password/);
  await login('ana');
});

test('docker stores an identity token in the place of the password, and pulls with it', async () => {
  const stored = await readFile(path.join(directory, 'docker/cli/config.json'), 'utf8');
  const { identitytoken } = JSON.parse(stored).auths[mirror];
  assert.match(identitytoken, /^hubgate_login_/);
  assert.ok(!stored.includes(Buffer.from(`ana:${PASSWORD}`).toString('base64')));
  await pull(`${mirror}/library/alpine`);
  await waitFor(async () => {
    const tokens: { kind: string; owner: string; lastUsed: string | null }[] = JSON.parse(
      await hubgate.run('token', 'list', '--json'),
    );
    return tokens.some(
      ({ kind, owner, lastUsed }) => kind === 'login' && owner === 'ana' && lastUsed !== null,
    );
  });
});

test('a service token is a password, and ends when it is revoked', async () => {
  await hubgate.run('user', 'add', 'ci', '--service');
  const { id, token } = JSON.parse(await hubgate.run('token', 'create', 'ci', '--expires', '1d', '--json'));
  const entered = await docker(['login', mirror, '-u', 'ci', '--password-stdin'], { stdin: token });
  assert.equal(entered.code, 0, entered.output);
  await pull(`${mirror}/library/alpine`);
  await hubgate.run('token', 'revoke', id);
  await forget(`${mirror}/library/alpine`);
  await waitFor(async () => (await docker(['pull', `${mirror}/library/alpine`])).code !== 0);
  await login('ana');
});

test('a CI job logs in with the JWT of its issuer, and pulls what the policy grants its branch', async () => {
  const subject = 'oidc:ci:acme/payments@refs/heads/main';
  await hubgate.setPolicy(`allow:\n  - { pull: library/**, to: "${subject}" }`);
  for (const [ref, isGranted] of [
    ['refs/heads/main', true],
    ['refs/heads/topic', false],
  ] as const) {
    const jwt = await issuer.sign({ repository: 'acme/payments', ref });
    const entered = await docker(['login', mirror, '-u', 'oidc', '--password-stdin'], { stdin: jwt });
    assert.equal(entered.code, 0, entered.output);
    await forget(`${mirror}/library/alpine`);
    const { code, output } = await docker(['pull', `${mirror}/library/alpine`]);
    assert.equal(code === 0, isGranted, output);
  }
  await hubgate.setPolicy(DEFAULT);
  await login('ana');
});

test('docker pulls an image of several layers, and it runs', async () => {
  assert.equal((await pull(`${mirror}/library/alpine`)).match(/Pull complete/g)?.length, 3);
  const ran = await docker(['run', '--rm', '--network=none', `${mirror}/library/alpine`]);
  assert.equal(ran.output, 'the first one\n');
});

test('a second pull costs the upstream nothing but a HEAD for a tag past its freshness', async () => {
  upstream.takeRequests();
  await pull(`${mirror}/library/alpine`);
  const requests = upstream.takeRequests();
  assert.deepEqual(
    requests.filter((one) => one !== 'HEAD /v2/library/alpine/manifests/latest'),
    [],
  );
  assert.ok(requests.length <= 1);
});

test('the same image under its other names and by digest', async () => {
  await pull(`${mirror}/docker.io/library/alpine`);
  await pull(`${mirror}/alpine`);
  await pull(`${mirror}/ghcr.io/library/alpine`);
  assert.match(await pull(`${mirror}/library/alpine@${digest}`), new RegExp(`Digest: ${digest}`));
});

test('skopeo copies it for every platform, trusting the CA alone', async () => {
  const certificates = path.join(directory, 'skopeo');
  await mkdir(certificates);
  await writeFile(path.join(certificates, 'ca.crt'), await readFile(path.join(hubgate.home, 'certs/ca.crt')));
  const flags = ['--src-cert-dir', certificates, '--src-creds', `ana:${PASSWORD}`];
  const image = `docker://${mirror}/library/alpine:latest`;
  await mustRun('skopeo', [
    '--insecure-policy',
    'copy',
    '--all',
    ...flags,
    image,
    `oci:${directory}/copied:all`,
  ]);
  await mustRun('skopeo', [
    '--insecure-policy',
    '--override-arch',
    'arm64',
    'copy',
    ...flags,
    image,
    `dir:${directory}/arm64`,
  ]);
  const inspect = ['inspect', '--cert-dir', certificates, '--creds', `ana:${PASSWORD}`, image];
  const inspected = JSON.parse(await mustRun('skopeo', inspect));
  assert.deepEqual(inspected.RepoTags, ['latest']);
  assert.equal(inspected.Layers.length, 3);
  const authfile = ['--authfile', path.join(directory, 'auth.json')];
  const login = ['login', '--cert-dir', certificates, ...authfile, '-u', 'ana', '-p', PASSWORD, mirror];
  await mustRun('skopeo', login);
  await mustRun('skopeo', ['inspect', '--cert-dir', certificates, ...authfile, image]);
  const anonymous = await run('skopeo', ['inspect', '--cert-dir', certificates, '--no-creds', image]);
  assert.notEqual(anonymous.code, 0);
});

/** A hosts directory for containerd in which the mirror stands for itself and for both upstreams. */
async function hostsDirectory(name: string, header = ''): Promise<string> {
  const hosts = path.join(directory, name);
  const ca = path.join(hubgate.home, 'certs/ca.crt');
  const host = `[host."https://${mirror}"]\n  capabilities = ["pull", "resolve"]\n  ca = "${ca}"\n`;
  for (const upstreamHost of [mirror, 'docker.io', 'ghcr.io']) {
    await mkdir(path.join(hosts, upstreamHost), { recursive: true });
    await writeFile(
      path.join(hosts, upstreamHost, 'hosts.toml'),
      `server = "https://${mirror}"\n${host}${header}`,
    );
  }
  return hosts;
}

const IMAGES = ['docker.io/library/alpine:latest', 'ghcr.io/library/alpine:latest'];

test('ctr pulls it by its own name, and with ns= by those of the upstreams', async () => {
  const flags = ['--hosts-dir', await hostsDirectory('hosts'), '--snapshotter', 'native'];
  for (const image of [`${mirror}/library/alpine:latest`, ...IMAGES]) {
    const { code, output } = await containerd.ctr([
      'images',
      'pull',
      ...flags,
      '--user',
      `ana:${PASSWORD}`,
      image,
    ]);
    assert.equal(code, 0, output);
    await containerd.ctr(['images', 'remove', image]);
  }
  const wrong = await containerd.ctr(['images', 'pull', ...flags, '--user', 'ana:wrong', IMAGES[0] ?? '']);
  assert.notEqual(wrong.code, 0);
});

test('ctr pulls with a header of its configuration alone, which never asks for a token', async () => {
  const header = `[host."https://${mirror}".header]\n  Authorization = "${basic('ana', PASSWORD)}"\n`;
  const flags = ['--hosts-dir', await hostsDirectory('hosts-header', header), '--snapshotter', 'native'];
  for (const image of IMAGES) {
    const { code, output } = await containerd.ctr(['images', 'pull', ...flags, image]);
    assert.equal(code, 0, output);
  }
});

test('ctr pulls with a client certificate, which needs no login', async () => {
  await hubgate.run('cert', 'issue', 'node-7', '--out', path.join(directory, 'node-7'));
  await hubgate.setPolicy('allow:\n  - { pull: everything, to: "cert:node-*" }');
  const at = (name: string) => path.join(directory, 'node-7', name);
  const client = `  client = [["${at('client.cert')}", "${at('client.key')}"]]\n`;
  const flags = ['--hosts-dir', await hostsDirectory('hosts-certificate', client), '--snapshotter', 'native'];
  for (const image of IMAGES) {
    await containerd.ctr(['images', 'remove', image]);
    const { code, output } = await containerd.ctr(['images', 'pull', ...flags, image]);
    assert.equal(code, 0, output);
  }
  const without = ['--hosts-dir', path.join(directory, 'hosts'), '--snapshotter', 'native'];
  assert.notEqual((await containerd.ctr(['images', 'pull', ...without, IMAGES[0] ?? ''])).code, 0);
});

test('a private repository of the account is not there for the default policy, and is for a rule that says private', async () => {
  await hubgate.setPolicy(DEFAULT);
  await login('ana');
  const refused = await docker(['pull', `${mirror}/acme/secret`]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.output, /not found|manifest unknown/);
  const missing = await docker(['pull', `${mirror}/acme/nowhere`]);
  assert.equal(missing.output.replaceAll('nowhere', 'secret'), refused.output);

  await hubgate.setPolicy(`${DEFAULT}\n  - { pull: acme/**, to: bo, private: true }`);
  await login('bo');
  await pull(`${mirror}/acme/secret`);
  assert.equal((await request('/v2/acme/secret/manifests/latest', 'ana')).status, 404);
});

test('a blob of it, now in the cache, is not served under another repository', async () => {
  const accept = await request('/v2/acme/secret/manifests/latest', 'bo');
  const child = JSON.parse(accept.body.toString()).manifests[0].digest;
  const manifest = JSON.parse((await request(`/v2/acme/secret/manifests/${child}`, 'bo')).body.toString());
  for (const { digest: layer } of [manifest.config, manifest.layers[1]]) {
    assert.equal((await request(`/v2/acme/secret/blobs/${layer}`, 'bo')).status, 200);
    assert.equal((await request(`/v2/library/alpine/blobs/${layer}`, 'bo')).status, 404);
    assert.equal((await request(`/v2/library/alpine/blobs/${layer}`, 'bo', 'HEAD')).status, 404);
  }
});

test('no way of writing a name leads to it', async () => {
  for (const target of [
    '/v2/library/%2e%2e/acme/secret/manifests/latest',
    '/v2/library/../acme/secret/manifests/latest',
    '/v2/library%2f..%2f..%2facme/secret/manifests/latest',
    '/v2/library/alpine/../../acme/secret/manifests/latest',
    '/v2//acme/secret/manifests/latest',
    '/v2/library/..\\acme\\secret/manifests/latest',
  ]) {
    assert.equal((await request(target)).status, 404, target);
  }
});

test('who has no rule is told the same of what exists and what does not', async () => {
  await hubgate.setPolicy('allow:\n  - { pull: everything, to: ana }');
  await login('bo');
  upstream.takeRequests();
  const existing = await docker(['pull', `${mirror}/library/alpine:none`]);
  const missing = await docker(['pull', `${mirror}/library/nowhere:none`]);
  assert.notEqual(existing.code, 0);
  assert.match(existing.output, /denied/);
  assert.equal(missing.output.replaceAll('nowhere', 'alpine'), existing.output);
  assert.deepEqual(upstream.takeRequests(), []);
});

const REASON = 'alpine is "at its end"; see go/base-images';
/** The same text in the characters that a challenge allows. */
const DESCRIPTION = REASON.replaceAll('"', "'");

/** `because` is for whoever pulls, and not only for the record: what each client prints of it. */
test('the reason of a deny reaches who pulls by a login, and by none', async () => {
  await hubgate.setPolicy(
    `${DEFAULT}\ndeny:\n  - { pull: library/alpine, to: [bo, anonymous], because: '${REASON}' }`,
  );
  await login('bo');
  const image = `${mirror}/library/alpine`;
  await forget(image);
  const byLogin = await docker(['pull', image]);
  assert.equal(byLogin.code, 1);
  assert.ok(byLogin.output.includes(`denied: ${REASON}`), byLogin.output);
  await docker(['logout', mirror]);
  const byNobody = await docker(['pull', image]);
  assert.equal(byNobody.code, 1);
  assert.ok(byNobody.output.includes(DESCRIPTION), byNobody.output);

  const certificates = path.join(directory, 'skopeo');
  const inspect = ['inspect', '--no-tags', '--cert-dir', certificates, `docker://${image}`];
  for (const who of [['--creds', `bo:${PASSWORD}`], ['--no-creds']]) {
    const { code, output } = await run('skopeo', [...inspect, ...who]);
    assert.equal(code, 1);
    assert.ok(output.replaceAll('\\"', '"').includes(REASON), output);
  }
  // containerd 1.6 asks by HEAD, and prints nothing but the status.
  const flags = ['--hosts-dir', await hostsDirectory('hosts'), '--snapshotter', 'native'];
  const asBo = ['images', 'pull', ...flags, '--user', `bo:${PASSWORD}`, `${image}:latest`];
  const { code, output } = await containerd.ctr(asBo);
  assert.equal(code, 1);
  assert.match(output, /403 Forbidden/);
  assert.doesNotMatch(output, /may require authorization/);
});

test('a daemon that cannot log in to its mirror pulls an unprefixed name by the rule of its network', async () => {
  await docker(['logout', mirror]);
  const rule = '- { pull: library/**, to: anonymous, from: [127.0.0.0/8, "::1"] }';
  await hubgate.setPolicy(`${DEFAULT}\n  ${rule}`);
  const output = await pull('alpine');
  assert.match(output, new RegExp(`Digest: ${digest}`));
  const recorded = /"subject":"anonymous".*"repository":"docker\.io\/library\/alpine".*"decision":"allow"/;
  await waitFor(async () =>
    recorded.test(await readFile(path.join(hubgate.home, 'state/audit.log'), 'utf8')),
  );
});

test('a tag that has moved is noticed', async () => {
  await login('ana');
  const moved = await writeLayout(path.join(directory, 'moved'), 'v2', 'the second one\n');
  await upstream.push(path.join(directory, 'moved'), 'v2', 'library/alpine:latest');
  await new Promise((resolve) => setTimeout(resolve, 2_100));
  assert.match(await pull(`${mirror}/library/alpine`), new RegExp(`Digest: ${moved}`));
  const ran = await docker(['run', '--rm', '--network=none', `${mirror}/library/alpine`]);
  assert.equal(ran.output, 'the second one\n');
});

test('with the upstream stopped, what was pulled is pulled again', async () => {
  await upstream.stop();
  await new Promise((resolve) => setTimeout(resolve, 2_100));
  await pull(`${mirror}/library/alpine`);
  const cold = await docker(['pull', `${mirror}/library/never-seen`]);
  assert.notEqual(cold.code, 0);
  assert.doesNotMatch(cold.output, /not found|unknown/);
  await upstream.start();
});

test('no password and no token is in what Hubgate printed or recorded', async () => {
  const audit = await readFile(path.join(hubgate.home, 'state/audit.log'), 'utf8');
  for (const text of [hubgate.output(), audit]) {
    for (const secret of [
      PASSWORD,
      ACCOUNT.password,
      Buffer.from(`ana:${PASSWORD}`).toString('base64'),
      'eyJ',
    ]) {
      assert.ok(!text.includes(secret), secret);
    }
  }
});
