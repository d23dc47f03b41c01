import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { toStored } from '../../../src/auth/admin/certificates.ts';
import type { Checked } from '../../../src/commands/doctor/checks.ts';
import { doctor } from '../../../src/commands/doctor/doctor.ts';
import { freePort } from '../../support/free-port.ts';
import { imageOf } from '../../support/image.ts';
import { basic } from '../../support/test-hubgate.ts';
import { waitFor } from '../../support/wait-for.ts';
import { withMirror } from '../../support/with-mirror.ts';
import { run } from '../support/terminal.ts';

const DAY = 24 * 60 * 60 * 1000;
const POLICY = [
  'allow:',
  '  - { id: nodes, pull: "library/**", to: ["cert:node-*", ana] }',
  '  - { id: others, pull: "acme/**", to: authenticated }',
].join('\n');

const { hubgate } = await withMirror({ after }, { policy: POLICY, images: { 'library/alpine': imageOf() } });
const mirror = `localhost:${hubgate.port}`;
/** Where nobody listens, as the Hub behind a firewall. */
const closed = await freePort();
const pair = await hubgate.issueCertificate('node-7', 90);
let root: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'hubgate-host-'));
});

afterEach(() => rm(root, { recursive: true }));

async function plant(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(root, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}

function remove(file: string): Promise<void> {
  return rm(path.join(root, file));
}

/** Replaces in a planted file. */
async function edit(file: string, find: string, replacement: string): Promise<void> {
  const text = await readFile(path.join(root, file), 'utf8');
  assert.ok(text.includes(find), text);
  await writeFile(path.join(root, file), text.replace(find, replacement));
}

const DAEMON = '/etc/docker/daemon.json';
const HOSTS = '/etc/containerd/certs.d/docker.io/hosts.toml';
const REGISTRIES = '/etc/containers/registries.conf.d/mirror.conf';

function certificates(directory: string, { cert, key } = pair): Record<string, string> {
  return {
    [`${directory}/ca.crt`]: hubgate.ca,
    [`${directory}/client.cert`]: cert,
    [`${directory}/client.key`]: key,
  };
}

/** A host with all three programs, each of which pulls from the mirror alone. */
async function plantHost(mirror: string): Promise<void> {
  await plant({
    '/usr/bin/dockerd': '',
    [DAEMON]: JSON.stringify({ 'registry-mirrors': [`https://${mirror}/`] }),
    ...certificates(`/etc/docker/certs.d/${mirror}`),
    '/etc/containerd/config.toml':
      'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n',
    [HOSTS]: [
      `server = "https://${mirror}"`,
      `[host."https://${mirror}"]`,
      'ca = "../ca.crt"',
      'client = [["/etc/containerd/certs.d/client.cert", "/etc/containerd/certs.d/client.key"]]',
    ].join('\n'),
    ...certificates('/etc/containerd/certs.d'),
    '/usr/bin/podman': '',
    [REGISTRIES]: `[[registry]]\nprefix = "docker.io"\nlocation = "${mirror}/docker.io"\n`,
    ...certificates(`/etc/containers/certs.d/${mirror}`),
  });
}

interface Where {
  readonly at?: string;
  readonly image?: string;
  readonly hubPort?: number;
  readonly clock?: () => number;
  readonly json?: boolean;
  /** By default the host takes the mirror for another machine, for which dockerd reads certificates. */
  readonly addresses?: readonly string[];
}

function look({
  at = mirror,
  image = 'alpine',
  hubPort = closed,
  clock = Date.now,
  json = false,
  addresses = ['192.0.2.1'],
}: Where) {
  const options = { home: root, json, fromClient: at, image };
  const context = { clock, root, hub: [{ host: 'localhost', port: hubPort }], addresses };
  return run((terminal) => doctor(options, {}, terminal, context));
}

async function examine(where: Where = {}) {
  const { code, stdout } = await look({ ...where, json: true });
  const { checks } = JSON.parse(stdout) as { checks: Checked[] };
  const findings = checks.flatMap((one) =>
    'findings' in one ? one.findings.map((finding) => ({ check: one.name, ...finding })) : [],
  );
  return { code, checks, findings };
}

test('on a healthy host one line says that nothing is wrong, and who its programs are', async () => {
  await plantHost(mirror);
  const { code, stdout, stderr } = await look({});
  assert.equal(
    stdout,
    'nothing found wrong (12 checks); dockerd is cert:node-7 to the mirror; containerd is cert:node-7 to the mirror; podman is cert:node-7 to the mirror\n',
  );
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(
    (await examine()).checks.map(({ name, outcome }) => `${name}: ${outcome}`),
    [
      'mirror',
      'programs',
      'dockerd',
      'containerd',
      'podman',
      'trust',
      'client certificate',
      'identity',
      'pull',
      'fallback',
      'tokens of pods',
      'way around',
    ].map((name) => `${name}: ok`),
  );
});

test('who the programs are is also said if something is wrong with one of them', async () => {
  await plantHost(mirror);
  await remove(REGISTRIES);
  const { stdout } = await look({});
  assert.match(
    stdout,
    /^found wrong: 1 \(12 checks\); dockerd is cert:node-7 to the mirror; containerd is cert:node-7 to the mirror$/m,
  );
});

test('only the containerd store of dockerd is said to read hosts.toml', async () => {
  await plantHost(mirror);
  const file = await readFile(path.join(root, HOSTS), 'utf8');
  await plant({ '/etc/docker/certs.d/docker.io/hosts.toml': file });
  await plant(certificates('/etc/docker/certs.d'));
  const store = 'dockerd with the containerd store is ';
  const bySaying = async () => (await look({})).stdout.split('; ').filter((one) => one.startsWith(store));
  assert.equal((await bySaying()).length, 1);
  await edit(DAEMON, '{', '{"features":{"containerd-snapshotter":false},');
  assert.equal((await bySaying()).length, 0);
});

test('what is no mirror and no image is bad usage', async () => {
  for (const wrong of [{ at: 'http://mirror.corp' }, { at: 'mirror.corp/x' }, { image: 'ghcr.io/a/b' }]) {
    const { code, stderr } = await look(wrong);
    assert.equal(code, 2);
    assert.match(stderr, /^hubgate: ".*" is no (?:mirror|image of Docker Hub); expected one such as/);
  }
});

/** Each is found by one finding of one check. */
const FAULTS: readonly [
  fault: string,
  plant: () => unknown,
  check: string,
  finding: RegExp,
  where?: () => Where,
][] = [
  [
    'dockerd is not configured for the mirror',
    () => plant({ [DAEMON]: '{ "registry-mirrors": ["https://other.corp"] }' }),
    'dockerd',
    /^dockerd is not configured for the mirror, and asks the Hub itself; write "registry-mirrors": \["https:\/\/localhost:\d+"\]/,
  ],
  [
    'daemon.json cannot be read',
    () => plant({ [DAEMON]: '{ "registry-mirrors": [' }),
    'dockerd',
    /^\/etc\/docker\/daemon\.json cannot be read: .*; mend it: dockerd does not start/,
  ],
  [
    'half a pair of certificate and key lies there',
    () => remove(`/etc/docker/certs.d/${mirror}/client.key`),
    'dockerd',
    /^\/etc\/docker\/certs\.d\/localhost:\d+\/client\.cert is without client\.key; .*every pull fail/,
  ],
  [
    'dockerd does not trust the CA',
    () => remove(`/etc/docker/certs.d/${mirror}/ca.crt`),
    'trust',
    /^dockerd does not trust the certificate of https:\/\/localhost:\d+ \(.*\); put the mirror’s ca\.crt there: \/etc\/docker\/certs\.d/,
  ],
  [
    'the CA is in certs.d, which the containerd store of dockerd does not read for a mirror',
    async () => {
      await plant({
        [DAEMON]: JSON.stringify({
          'registry-mirrors': [`https://${mirror}`],
          features: { 'containerd-snapshotter': true },
        }),
      });
    },
    'trust',
    /^dockerd does not trust .*: the machine’s trust store/,
  ],
  [
    'dockerd reads no certificate for a loopback address',
    () => {},
    'dockerd',
    /^\/etc\/docker\/certs\.d\/.*client\.cert is not presented by dockerd, because localhost is a loopback address; the mirror sees anonymous; let that name mean another address/,
    () => ({ addresses: ['::1', '127.0.0.1'] }),
  ],
  [
    'dockerd reads no certificate for an insecure registry',
    () =>
      plant({
        [DAEMON]: JSON.stringify({
          'registry-mirrors': [`https://${mirror}`],
          'insecure-registries': ['192.0.2.0/24'],
        }),
      }),
    'dockerd',
    /client\.cert is not presented by dockerd, because localhost is in insecure-registries; the mirror sees anonymous; remove it there/,
  ],
  [
    'the client certificate has ended',
    () => {},
    'client certificate',
    /client\.cert has ended at .*; issue another one on the server/,
    () => ({ clock: () => Date.now() + 91 * DAY }),
  ],
  [
    'the key is another certificate’s',
    async () => {
      const other = await hubgate.issueCertificate('node-8', 90);
      await plant({ [`/etc/containers/certs.d/${mirror}/client.key`]: other.key });
    },
    'client certificate',
    /^\/etc\/containers\/certs\.d\/.*client\.key is not the key of .*client\.cert/,
  ],
  [
    'the client certificate is revoked',
    async () => {
      const revoked = await hubgate.issueCertificate('node-9', 90);
      await plant(certificates(`/etc/docker/certs.d/${mirror}`, revoked));
      await revoke(revoked);
    },
    'identity',
    /^\/etc\/docker\/certs\.d\/.*client\.cert is not taken by the mirror: revoked, or of another authority; .*hubgate cert list/,
  ],
  [
    'the header of hosts.toml is a wrong login',
    () =>
      edit(
        HOSTS,
        'client = [["/etc/containerd/certs.d/client.cert", "/etc/containerd/certs.d/client.key"]]',
        `header = { authorization = "${basic('ana', 'wrong')}" }`,
      ),
    'identity',
    /^the header Authorization of containerd is not taken by the mirror; put the base64/,
  ],
  [
    'dockerd shows nothing, and nobody may pull',
    async () => {
      await remove(`/etc/docker/certs.d/${mirror}/client.cert`);
      await remove(`/etc/docker/certs.d/${mirror}/client.key`);
    },
    'pull',
    /^dockerd, which is anonymous to the mirror, is answered 401 for library\/alpine:latest; give it a client certificate/,
  ],
  [
    'the policy does not let the node pull',
    async () =>
      plant(certificates(`/etc/docker/certs.d/${mirror}`, await hubgate.issueCertificate('edge-1', 90))),
    'pull',
    /^dockerd, which is cert:edge-1 to the mirror, is answered 403 for library\/alpine:latest; on the server: hubgate access explain cert:edge-1 library\/alpine:latest/,
  ],
  [
    'hosts.toml falls back to the Hub',
    () => edit(HOSTS, `server = "https://${mirror}"`, 'server = "https://registry-1.docker.io"'),
    'fallback',
    /hosts\.toml lets containerd go to the Hub when the mirror refuses or fails; write server = "https:\/\/localhost:\d+"/,
  ],
  [
    'hosts.toml does not let the mirror resolve tags',
    () => edit(HOSTS, 'ca = "../ca.crt"', 'ca = "../ca.crt"\ncapabilities = ["pull"]'),
    'containerd',
    /hosts\.toml does not let the mirror resolve; delete the line capabilities/,
  ],
  [
    'containerd does not read its directory',
    () => plant({ '/etc/containerd/config.toml': 'version = 2\n' }),
    'containerd',
    /^\/etc\/containerd\/config\.toml does not let kubelet’s pulls read .*hosts\.toml; write config_path/,
  ],
  [
    'podman falls back to the Hub',
    () =>
      plant({
        [REGISTRIES]: `[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "${mirror}/docker.io"\n`,
      }),
    'fallback',
    /mirror\.conf lets podman go to the Hub when the mirror refuses or fails; write location = /,
  ],
  [
    'podman is not configured',
    () => remove(REGISTRIES),
    'podman',
    /^podman is not configured for the mirror/,
  ],
  [
    'the way around to the Hub is open',
    () => {},
    'way around',
    /^this host reaches Docker Hub itself \(localhost:\d+\); close it in the firewall/,
    () => ({ hubPort: hubgate.port }),
  ],
  [
    'the mirror cannot be reached',
    () => plantHost(`localhost:${closed}`),
    'mirror',
    /^https:\/\/localhost:\d+ cannot be reached: /,
    () => ({ at: `localhost:${closed}` }),
  ],
  [
    'the mirror sends its clients elsewhere for tokens',
    async () => {
      // By another name, as where server.url was forgotten.
      const other = `127.0.0.1:${hubgate.port}`;
      await plant({
        [DAEMON]: JSON.stringify({ 'registry-mirrors': [`https://${other}`] }),
        ...certificates(`/etc/docker/certs.d/${other}`),
      });
      await remove('/usr/bin/podman');
      await rm(path.join(root, '/etc/containerd'), { recursive: true });
    },
    'mirror',
    /^https:\/\/127\.0\.0\.1:\d+ sends its clients to https:\/\/localhost:\d+ for tokens; set server\.url/,
    () => ({ at: `127.0.0.1:${hubgate.port}` }),
  ],
  [
    'there is nothing that pulls',
    () => rm(root, { recursive: true }).then(() => mkdir(root)),
    'programs',
    /^this host has no dockerd, containerd or podman/,
  ],
];

async function revoke({ cert, key }: typeof pair): Promise<void> {
  const now = Date.now();
  await using state = hubgate.openState();
  await state.putCertificate({ ...toStored(new X509Certificate(cert), 'node-9', now), revokedAt: now });
  await waitFor(async () => (await hubgate.send({ path: '/v2/', cert, key })).status === 401);
}

for (const [fault, plantFault, check, finding, where] of FAULTS)
  test(`found, and nothing else: ${fault}`, async () => {
    await plantHost(mirror);
    await plantFault();
    const { code, findings } = await examine(where?.() ?? {});
    const checks = new Set(findings.map((one) => one.check));
    assert.deepEqual([...checks], [check], JSON.stringify(findings, undefined, 2));
    const [found] = findings;
    assert.match(`${found?.where} ${found?.what}; ${found?.mend}`, finding);
    assert.deepEqual([found?.level, code], ['wrong', 1]);
  });

const PROVIDER = '/etc/kubernetes/hubgate-credential-provider.yaml';

/** A node whose kubelet gives the tokens of pods for these registries. */
async function plantProvider(file: string, ...registries: string[]): Promise<void> {
  const provider = { name: 'hubgate-credential-provider', matchImages: registries };
  await plant({ [file]: JSON.stringify({ providers: [provider] }) });
}

test('a hosts.toml by which the token of a pod leaves for the Hub is found, wherever kubelet has its file', async () => {
  const own = `server = "https://${mirror}"\nca = "../ca.crt"\n[host."https://${mirror}"]\nca = "../ca.crt"\n`;
  const leaving = async () =>
    (await examine()).findings.filter(({ check }) => check === 'tokens of pods').map(({ what }) => what);
  await plantHost(mirror);
  await plantProvider(PROVIDER, 'docker.io', mirror);
  assert.match(String(await leaving()), /^presents the certificate of the node/);
  await plant({ [HOSTS]: own });
  assert.deepEqual(await leaving(), []);
  await edit(HOSTS, `server = "https://${mirror}"`, 'server = "https://registry-1.docker.io"');
  assert.match(String(await leaving()), /^sends the tokens of pods to https:\/\/registry-1\.docker\.io when/);
  // Without a server, containerd asks the registry itself.
  await edit(HOSTS, 'server = "https://registry-1.docker.io"', '');
  assert.match(String(await leaving()), /^sends the tokens of pods to docker\.io when/);
  await plant({ [HOSTS]: `${own}[host."https://other.example"]\n` });
  assert.match(String(await leaving()), /^sends the tokens of pods to https:\/\/other\.example when/);
  await remove(HOSTS);
  assert.match(
    String(await leaving()),
    /^is not there, so kubelet’s pulls send the tokens of pods to docker\.io/,
  );
  await plant({ '/etc/containerd/certs.d/_default/hosts.toml': own });
  assert.deepEqual(await leaving(), []);
  await remove(PROVIDER);
  await plantProvider('/opt/providers.yaml', 'docker.io', 'ghcr.io/acme');
  await remove('/etc/containerd/certs.d/_default/hosts.toml');
  assert.deepEqual(await leaving(), []);
  const flags = 'KUBELET_EXTRA_ARGS="--image-credential-provider-config=/opt/providers.yaml --v=2"';
  await plant({ '/etc/default/kubelet': flags, [HOSTS]: own });
  assert.match(
    String(await leaving()),
    /^is not there, so kubelet’s pulls send the tokens of pods to ghcr\.io/,
  );
  await plant({ '/opt/providers.yaml': 'providers: [' });
  assert.match(String(await leaving()), /^cannot be read/);
});
