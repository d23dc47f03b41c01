import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { parse } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { editUsers, setPassword } from '../../src/auth/identity/users-file.ts';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { type ClientConfigOptions, clientConfig } from '../../src/commands/client-config/client-config.ts';
import { writeKit } from '../../src/commands/client-config/write-kit.ts';
import { pathsIn } from '../../src/config/home.ts';
import { ensureServerCertificate } from '../../src/pki/local-ca.ts';
import { makeAuthority } from '../support/certificates.ts';
import { run } from './support/terminal.ts';

const KEY = /PRIVATE KEY/;
const TOKEN = /hubgate_[0-9A-Za-z]{46}/;
const BCRYPT = '$2b$04$abcdefghijklmnopqrstuuu5LPTmxGZ3mVtHDeQ0eZ0lHjRiXIx1u';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'hubgate-client-config-'));
  await configure('server: { url: "https://mirror.corp:8443" }');
  await ensureServerCertificate({
    ca: pathsIn(home).ca,
    server: { certificate: at('certs/server.crt'), key: at('certs/server.key') },
    names: ['mirror.corp'],
    clock: Date.now,
  });
  await mkdir(at('state'));
  await editUsers(pathsIn(home).users, () => new Map([['ci-pay', { isService: true }]]));
  await setPassword(pathsIn(home).users, 'ana', BCRYPT);
});

afterEach(() => rm(home, { recursive: true }));

function at(...names: string[]): string {
  return path.join(home, ...names);
}

async function configure(yaml: string): Promise<void> {
  await mkdir(at('config'), { recursive: true });
  await writeFile(at('config/hubgate.yaml'), yaml);
}

function call(client: string, name: string, more: Partial<ClientConfigOptions> = {}) {
  const options = { home, json: false, for: name, strict: false, showSecrets: false, ...more };
  return run((terminal) => clientConfig(client, options, {}, terminal));
}

/** As plain objects, which `deepEqual` takes for the same. */
function parseToml(toml: string): unknown {
  return JSON.parse(JSON.stringify(parse(toml)));
}

interface Listed {
  readonly subject: string;
  readonly credential: { readonly kind: string; readonly id: string } | null;
  readonly install: string | null;
  readonly files: readonly {
    readonly path: string;
    readonly mode: string;
    readonly secret: boolean;
    readonly content: string | null;
    readonly note: string | null;
  }[];
  readonly notes: Readonly<Record<string, readonly string[]>>;
}

async function list(client: string, name: string, more: Partial<ClientConfigOptions> = {}): Promise<Listed> {
  const { code, stdout, stderr } = await call(client, name, { json: true, ...more });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

/** A file of a kit that is no secret. */
async function text(client: string, name: string, file: string, more: Partial<ClientConfigOptions> = {}) {
  const found = (await list(client, name, more)).files.find((one) => one.path === file);
  assert.ok(found?.content, `${client} has no ${file}`);
  return found.content;
}

async function issued() {
  await using state = openAuthState(pathsIn(home).authState);
  return { certificates: await state.certificates(), tokens: await state.tokens() };
}

const HOST = 'mirror.corp:8443';
const URL_OF_MIRROR = `https://${HOST}`;
const NODES = [
  ...['dockerd', 'containerd', 'podman', 'cri-o', 'buildkit', 'skopeo'],
  ...['k3s', 'rke2', 'k3d', 'kind', 'minikube', 'talos'],
];

test('hosts.toml shows the node’s certificate to the mirror, and asks the registry after it, or with --strict nobody', async () => {
  await configure(`server: { url: "${URL_OF_MIRROR}" }\nupstreams: { ghcr.io: }`);
  for (const [client, root, pair] of [
    ['dockerd', '/etc/docker/certs.d', `/etc/docker/certs.d/${HOST}`],
    ['containerd', '/etc/containerd/certs.d', '/etc/containerd/hubgate'],
  ] as const) {
    // The table has no `capabilities`, because a push must reach a host that refuses it, and requests for
    // referrers must not go around the mirror.
    const settings = {
      ca: `${root}/${HOST}/ca.crt`,
      client: [[`${pair}/client.cert`, `${pair}/client.key`]],
    };
    for (const [upstream, server] of [
      ['docker.io', 'https://registry-1.docker.io'],
      ['ghcr.io', 'https://ghcr.io'],
    ] as const) {
      const file = `${root}/${upstream}/hosts.toml`;
      const open = await text(client, 'node-7', file);
      const host = { [URL_OF_MIRROR]: settings };
      assert.deepEqual(parseToml(open), { server, host });
      assert.deepEqual(parseToml(await text(client, 'node-7', file, { strict: true })), {
        ...{ server: URL_OF_MIRROR, host },
        ...settings,
      });
    }
  }
});

test('for names that begin with the mirror’s, hosts.toml clients show no certificate, so that they present a login', async () => {
  const ca = `/etc/docker/certs.d/${HOST}/ca.crt`;
  const own = await text('dockerd', 'node-7', `/etc/docker/certs.d/${HOST}/hosts.toml`);
  assert.deepEqual(parseToml(own), { server: URL_OF_MIRROR, ca, host: { [URL_OF_MIRROR]: { ca } } });
  const { files } = await list('containerd', 'node-7');
  assert.deepEqual(
    files.map(({ path: file, mode }) => [file, mode]),
    [
      [`/etc/containerd/certs.d/${HOST}/ca.crt`, '0644'],
      ['/etc/containerd/hubgate/client.cert', '0644'],
      ['/etc/containerd/hubgate/client.key', '0600'],
      ['/etc/containerd/certs.d/docker.io/hosts.toml', '0644'],
    ],
  );
});

test('dockerd’s classic store gets a mirror and the certificate of its host', async () => {
  assert.deepEqual(JSON.parse(await text('dockerd', 'node-7', '/etc/docker/daemon.json')), {
    'registry-mirrors': [URL_OF_MIRROR],
  });
  const { files } = await list('dockerd', 'node-7');
  assert.deepEqual(
    files.map(({ path: file, mode }) => [file, mode]),
    [
      ['/etc/docker/daemon.json', '0644'],
      [`/etc/docker/certs.d/${HOST}/ca.crt`, '0644'],
      [`/etc/docker/certs.d/${HOST}/client.cert`, '0644'],
      [`/etc/docker/certs.d/${HOST}/client.key`, '0600'],
      [`/etc/docker/certs.d/${HOST}/hosts.toml`, '0644'],
      ['/etc/docker/certs.d/docker.io/hosts.toml', '0644'],
    ],
  );
});

test('registries.conf names the mirror beside the registry, or with --strict in its place', async () => {
  const file = '/etc/containers/registries.conf.d/50-hubgate.conf';
  const location = `${HOST}/docker.io`;
  for (const client of ['podman', 'cri-o', 'skopeo']) {
    assert.deepEqual(parseToml(await text(client, 'node-7', file)), {
      registry: [{ prefix: 'docker.io', location: 'docker.io', mirror: [{ location }] }],
    });
    assert.deepEqual(parseToml(await text(client, 'node-7', file, { strict: true })), {
      registry: [{ prefix: 'docker.io', location }],
    });
  }
});

test('buildkitd.toml names the mirror and its key pair', async () => {
  const directory = `/etc/buildkit/certs.d/${HOST}`;
  const keypair = [{ key: `${directory}/client.key`, cert: `${directory}/client.cert` }];
  assert.deepEqual(parseToml(await text('buildkit', 'node-7', '/etc/buildkit/buildkitd.toml')), {
    registry: { 'docker.io': { mirrors: [HOST] }, [HOST]: { ca: [`${directory}/ca.crt`], keypair } },
  });
});

test('where names have no port, BuildKit shows the pair to the mirror, and for its own name a login', async () => {
  await configure('server: { url: "https://mirror.corp" }');
  const directory = '/etc/buildkit/certs.d/mirror.corp';
  const keypair = [{ key: `${directory}/client.key`, cert: `${directory}/client.cert` }];
  const ca = [`${directory}/ca.crt`];
  assert.deepEqual(parseToml(await text('buildkit', 'node-7', '/etc/buildkit/buildkitd.toml')), {
    registry: {
      'docker.io': { mirrors: ['mirror.corp:443'] },
      'mirror.corp': { ca },
      'mirror.corp:443': { ca, keypair },
    },
  });
});

test('regctl gets a mirror and a login for it, of a person or of a service account', async () => {
  const person = await list('regctl', 'ana', { out: at('ana') });
  assert.deepEqual([person.credential, person.subject], [null, 'user:ana']);
  const merge = person.notes.merge?.join('\n') ?? '';
  assert.match(merge, new RegExp(`regctl registry login ${HOST} -u ana$`, 'm'));
  // Without the last word regctl asks Docker Hub whether the setting works.
  assert.match(merge, new RegExp(`regctl registry set docker\\.io --mirror ${HOST} --skip-check$`, 'm'));
  const service = await list('regctl', 'ci-pay', { out: at('ci') });
  assert.equal(service.subject, 'service:ci-pay');
  assert.match(service.notes.merge?.join('\n') ?? '', /-u ci-pay --pass-stdin < hubgate-token$/m);
  assert.match(await readFile(at('ci/hubgate-token'), 'utf8'), TOKEN);
  assert.equal((await stat(at('ci/hubgate-token'))).mode & 0o777, 0o600);
});

test('a kit says which commands never go by a mirror', async () => {
  for (const [client, commands] of [
    ['dockerd', ['docker manifest inspect', 'imagetools inspect', 'docker search']],
    ['buildkit', ['imagetools inspect']],
    ['podman', ['podman search', '--list-tags']],
    ['skopeo', ['skopeo list-tags docker://docker.io', 'skopeo sync', 'without --no-tags']],
  ] as const) {
    for (const strict of [false, true]) {
      const said = (await list(client, 'node-7', { strict })).notes.notReached?.join('\n') ?? '';
      for (const command of commands) assert.ok(said.includes(command), `${client}: ${command}`);
    }
  }
});

test('where a client cannot be strict, it says so, and what to block', async () => {
  for (const client of NODES) {
    const open = (await list(client, 'node-7')).notes.fallback?.join(' ') ?? '';
    const strict = (await list(client, 'node-7', { strict: true })).notes.fallback?.join(' ') ?? '';
    assert.match(open, /block registry-1\.docker\.io and auth\.docker\.io/, client);
    const cannot = ['dockerd', 'buildkit', 'minikube'].includes(client);
    assert.equal(/block registry-1\.docker\.io/.test(strict), cannot, `${client}: ${strict}`);
  }
});

test('without --out nothing is issued, and nothing secret is printed, for there is nothing', async () => {
  for (const [client, name] of [
    ...NODES.map((node) => [node, 'node-7'] as const),
    ...['kubernetes', 'crane', 'regctl', 'docker', 'github-actions', 'gitlab'].map(
      (one) => [one, 'ci-pay'] as const,
    ),
  ]) {
    const { code, stdout } = await call(client, name);
    assert.equal(code, 0, client);
    assert.doesNotMatch(stdout, KEY, client);
    assert.doesNotMatch(stdout, TOKEN, client);
    assert.match(stdout, /made and written with --out/, client);
    const { credential, files } = await list(client, name);
    assert.equal(credential, null);
    for (const { secret, content, note } of files)
      assert.ok(!secret || (content === null && note !== null), client);
  }
  assert.deepEqual(await issued(), { certificates: [], tokens: [] });
});

test('with --out the files lie as on the client, secrets for their owner alone, and nothing secret is printed', async () => {
  const umask = process.umask(0o027);
  try {
    const { code, stdout } = await call('dockerd', 'node-7', { out: at('out') });
    assert.equal(code, 0);
    assert.doesNotMatch(stdout, KEY);
    assert.match(stdout, new RegExp(`tar -C ${at('out')} -cf - etc \\| ssh root@NODE tar`));
  } finally {
    process.umask(umask);
  }
  const directory = `out/etc/docker/certs.d/${HOST}`;
  const mode = async (file: string) => (await stat(at(file))).mode & 0o777;
  const names = ['ca.crt', 'client.cert', 'client.key', 'hosts.toml'];
  assert.deepEqual((await readdir(at(directory))).sort(), names);
  assert.equal(await mode(`${directory}/client.key`), 0o600);
  for (const file of [`${directory}/client.cert`, `${directory}/ca.crt`, 'out/etc/docker/daemon.json'])
    assert.equal(await mode(file), 0o644, file);
  const certificate = new X509Certificate(await readFile(at(directory, 'client.cert')));
  assert.equal(certificate.subject, 'CN=node-7');
  assert.ok(certificate.verify(new X509Certificate(await readFile(at(directory, 'ca.crt'))).publicKey));
  assert.match(await readFile(at(directory, 'client.key'), 'utf8'), KEY);
  const [stored, ...rest] = (await issued()).certificates;
  assert.deepEqual(
    [stored?.name, stored?.fingerprint, rest],
    ['node-7', certificate.fingerprint256.replaceAll(':', '').toLowerCase(), []],
  );
});

test('--json with --out says what was issued and where it lies, and no secret', async () => {
  const { credential, files, install } = await list('podman', 'node-7', { out: at('out') });
  assert.deepEqual(credential?.id, (await issued()).certificates[0]?.fingerprint);
  const key = files.find(({ secret }) => secret);
  assert.deepEqual([key?.mode, key?.content, key?.note !== null], ['0600', null, true]);
  assert.match(install ?? '', /--skip-old-files/);
});

/** Runs the printed command with a directory in the place of the machine. */
function installIn(root: string, install: string) {
  const line = install.replaceAll('ssh root@NODE ', '').replaceAll('-C / ', `-C ${root} `);
  return spawnSync('sh', ['-c', line], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
}

test('kits that share a file go to one machine; a file with other contents is kept and named', async () => {
  const root = at('node');
  await mkdir(root);
  const installed = new Map<string, string>();
  let shared = 0;
  for (const [client, name] of [
    ...['dockerd', 'buildkit', 'containerd', 'podman', 'skopeo', 'cri-o', 'k3s', 'rke2'].map(
      (one) => [one, 'node-7'] as const,
    ),
    ...['docker', 'crane', 'regctl'].map((one) => [one, 'ana'] as const),
  ]) {
    const out = at(`out-${client}`);
    const { files, install } = await list(client, name, { out });
    if (install === null) continue;
    const differing: string[] = [];
    for (const { path: file } of files.filter((one) => one.path.startsWith('/'))) {
      const text = await readFile(path.join(out, file), 'utf8');
      const there = installed.get(file);
      if (there === undefined) installed.set(file, text);
      else if (there === text) shared++;
      else differing.push(`${file.slice(1)}: FAILED`);
    }
    const { status, stdout, stderr } = installIn(root, install);
    assert.equal(status, differing.length === 0 ? 0 : 1, `${client}: ${stderr}`);
    assert.deepEqual(stdout.trim().split('\n').filter(Boolean).sort(), differing.sort(), client);
  }
  assert.ok(shared > 0, 'no two kits share a file');
  for (const [file, text] of installed)
    assert.equal(await readFile(path.join(root, file), 'utf8'), text, file);
});

test('--show-secrets issues and prints, since it was asked for', async () => {
  assert.match((await call('containerd', 'node-7', { showSecrets: true })).stdout, KEY);
  assert.match((await call('github-actions', 'ci-pay', { showSecrets: true })).stdout, TOKEN);
  const { certificates, tokens } = await issued();
  assert.deepEqual([certificates.length, tokens.length], [1, 1]);
});

test('nothing is overwritten: one file that is there, and nothing is written or issued; but the same CA may be there', async () => {
  const ca = await readFile(at('certs/ca.crt'), 'utf8');
  await mkdir(at('out/etc/docker/certs.d', HOST), { recursive: true });
  await writeFile(at('out/etc/docker/certs.d', HOST, 'ca.crt'), new X509Certificate(ca).toString());
  await writeFile(at('out/etc/docker/daemon.json'), '{ "debug": true }');
  const { code, stdout, stderr } = await call('dockerd', 'node-7', { out: at('out') });
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /nothing is written, for this is there already: .*daemon\.json$/m);
  assert.equal(await readFile(at('out/etc/docker/daemon.json'), 'utf8'), '{ "debug": true }');
  assert.deepEqual(await readdir(at('out/etc/docker/certs.d')), [HOST]);
  assert.deepEqual((await issued()).certificates, []);
  await rm(at('out/etc/docker/daemon.json'));
  assert.equal((await call('dockerd', 'node-7', { out: at('out') })).code, 0);
  assert.equal((await call('dockerd', 'node-8', { out: at('out') })).code, 1);
});

test('all is written or nothing, and a credential that nobody got is withdrawn', async () => {
  const file = (name: string) => ({ path: name, mode: 0o644, text: name });
  await mkdir(at('out/mine'), { recursive: true });
  await assert.rejects(writeKit(at('out'), [file('/new/a'), file('/mine/b'), file('/mine/b/c')]));
  assert.deepEqual(await readdir(at('out'), { recursive: true }), ['mine']);
  // Such a link is found when the file is to be made, and not before.
  await mkdir(at('b'));
  await symlink('nowhere', at('b/hubgate-pull-secret.yaml'));
  await mkdir(at('a/etc/containers/registries.conf.d'), { recursive: true });
  await symlink('nowhere', at('a/etc/containers/registries.conf.d/50-hubgate.conf'));
  await assert.rejects(call('podman', 'node-7', { out: at('a') }), /EEXIST/);
  await assert.rejects(call('kubernetes', 'ci-pay', { out: at('b') }), /EEXIST/);
  assert.deepEqual(await readdir(at('a/etc/containers')), ['registries.conf.d']);
  const { certificates, tokens } = await issued();
  assert.deepEqual([certificates.length, certificates[0]?.revokedAt === null, tokens], [1, false, []]);
});

test('a cluster gets a secret of a service account’s token, and images by the mirror’s name', async () => {
  const { stdout } = await call('kubernetes', 'ci-pay', { out: at('out') });
  assert.doesNotMatch(stdout, TOKEN);
  assert.match(stdout, new RegExp(`image: ${HOST}/docker.io/library/alpine`));
  const file = at('out/hubgate-pull-secret.yaml');
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const secret = parseYaml(await readFile(file, 'utf8'));
  assert.deepEqual([secret.kind, secret.type], ['Secret', 'kubernetes.io/dockerconfigjson']);
  const { auths } = JSON.parse(Buffer.from(secret.data['.dockerconfigjson'], 'base64').toString());
  const { username, password, auth } = auths[HOST];
  assert.equal(username, 'ci-pay');
  assert.match(password, TOKEN);
  assert.equal(Buffer.from(auth, 'base64').toString(), `ci-pay:${password}`);
  const [token] = (await issued()).tokens;
  assert.deepEqual([token?.owner, token?.id], ['ci-pay', password.slice(8, 18)]);
});

test('who is no service account is refused, with what to do', async () => {
  for (const [client, name, expected] of [
    ['kubernetes', 'nobody', /no service account nobody: hubgate user add nobody --service/],
    ['kubernetes', 'ana', /ana is a person.*hubgate user add NAME --service/],
    ['crane', 'nobody', /no user nobody: hubgate user add nobody/],
    ['regctl', 'nobody', /no user nobody: hubgate user add nobody/],
    ['gitlab', 'ana', /no federation for gitlab.*preset: gitlab.*hubgate user add NAME --service/],
  ] as const) {
    const { code, stderr } = await call(client, name, { out: at('out') });
    assert.equal(code, 1, client);
    assert.match(stderr, expected);
  }
  assert.deepEqual((await issued()).tokens, []);
});

test('a person logs in with their own password: nothing is issued', async () => {
  for (const client of ['docker', 'crane']) {
    const { credential, files, subject, notes } = await list(client, 'ana', { out: at(client) });
    assert.deepEqual([credential, subject], [null, 'user:ana']);
    assert.ok(files.every(({ secret }) => !secret));
    assert.match(notes.check?.[0] ?? '', new RegExp(`login ${HOST} -u ana`));
  }
});

const FEDERATIONS = `
federation:
  gh: { preset: github, audience: mirror.corp }
  forge: { issuer: "https://gitlab.corp", audience: mirror.corp, subject: "\${project_path}@\${ref_type}/\${ref}" }`;

test('a job of a federation logs in by its JWT, without a secret', async () => {
  await configure(`server: { url: "${URL_OF_MIRROR}" }${FEDERATIONS}`);
  const github = await list('github-actions', 'acme/pay', { out: at('out') });
  assert.deepEqual([github.credential, github.subject], [null, 'oidc:gh:acme/pay@refs/heads/main']);
  const workflow = parseYaml(await readFile(at('out/.github/workflows/hubgate.yml'), 'utf8'));
  const { permissions, steps } = workflow.jobs.pull;
  assert.deepEqual(permissions, { contents: 'read', 'id-token': 'write' });
  assert.equal(
    steps[0].env.CA.trim(),
    (await readFile(at('certs/ca.crt'), 'utf8')).trim().replaceAll('\r', ''),
  );
  assert.match(
    steps[1].run,
    /audience=mirror\.corp" \| jq -r \.value \|\n *docker login mirror\.corp:8443 -u oidc/,
  );
  const gitlab = await list('gitlab', 'acme/pay');
  assert.equal(gitlab.subject, 'oidc:forge:acme/pay@branch/main');
  const job = parseYaml(gitlab.files[0]?.content ?? '').pull;
  assert.deepEqual(job.id_tokens, { HUBGATE_TOKEN: { aud: 'mirror.corp' } });
  assert.equal(job.script[0], `printf %s "$HUBGATE_TOKEN" | docker login ${HOST} -u oidc --password-stdin`);
  for (const { files } of [github, gitlab]) assert.ok(files.every(({ secret }) => !secret));
  assert.deepEqual((await issued()).tokens, []);
  const { code, stderr } = await call('gitlab', 'ci-pay');
  assert.equal(code, 2);
  assert.match(stderr, /"ci-pay" is no project such as acme\/payments/);
});

test('without a federation a job has the token of a service account, in a file of its own', async () => {
  for (const client of ['github-actions', 'gitlab']) {
    const { files, subject } = await list(client, 'ci-pay', { out: at(client) });
    assert.equal(subject, 'service:ci-pay');
    assert.doesNotMatch(files[0]?.content ?? '', TOKEN);
    assert.match(JSON.stringify(parseYaml(files[0]?.content ?? '')), /-u ci-pay --password-stdin/);
    assert.match(await readFile(at(client, 'hubgate-token'), 'utf8'), TOKEN);
    assert.equal((await stat(at(client, 'hubgate-token'))).mode & 0o777, 0o600);
  }
});

test('what is called wrongly is bad usage', async () => {
  assert.equal((await call('rkt', 'node-7')).code, 2);
  for (const name of ['', '..', 'a/b', 'a b', 'x"y', 'x'.repeat(65)])
    assert.equal((await call('dockerd', name, { out: at('out') })).code, 2, name);
  await configure('server: { port: 1 }');
  assert.equal((await call('dockerd', 'node-7')).code, 2);
  assert.deepEqual((await issued()).certificates, []);
});

test('a certificate that would not count is not issued', async () => {
  const other = makeAuthority('another');
  await writeFile(at('other.crt'), other.cert);
  const yaml = `server: { url: "${URL_OF_MIRROR}" }\ntls: { clientCa: other.crt }`;
  await configure(yaml);
  const { code, stderr } = await call('podman', 'node-7', { out: at('out') });
  assert.equal(code, 1);
  assert.match(stderr, /do not count here: tls\.clientCa is .*other\.crt/);
  await writeFile(at('other.crt'), `${other.cert}\n${await readFile(at('certs/ca.crt'), 'utf8')}`);
  assert.equal((await call('podman', 'node-7', { out: at('out') })).code, 0);
});

test('a server’s certificate from elsewhere needs no CA of ours; one that is not there yet is waited for', async () => {
  const { cert, key } = makeAuthority('a company').issue({ commonName: 'mirror.corp' });
  await writeFile(at('certs/server.crt'), cert);
  await writeFile(at('certs/server.key'), key);
  for (const client of NODES) {
    const { files, notes } = await list(client, 'node-7');
    assert.ok(
      files.every(({ path: file, content }) => !/ca\.crt/.test(`${file} ${content}`)),
      client,
    );
    assert.doesNotMatch(JSON.stringify(notes), /ca\.crt|--cacert/, client);
  }
  await rm(at('certs/server.crt'));
  const { code, stderr } = await call('dockerd', 'node-7');
  assert.equal(code, 1);
  assert.match(stderr, /the first hubgate start makes it/);
});

test('an address that is this machine’s own is said to be no other’s', async () => {
  await configure('server: { listen: ":8443" }');
  const { notes } = await list('dockerd', 'node-7');
  assert.match(
    notes.notReached?.join('\n') ?? '',
    /Set server\.url.*\n.*no certificates for a loopback address/,
  );
});
