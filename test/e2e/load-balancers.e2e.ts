/** The recipes of docs/load-balancers.md, with the real HAProxy and the real nginx. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { readAuditLog } from '../support/audit-log.ts';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/http.ts';
import { waitFor } from '../support/wait-for.ts';
import { type BalancerKind, installBalancers, recipe, startBalancer } from './support/balancers.ts';
import { installClients, startDocker } from './support/clients.ts';
import { type RunningHubgate, startHubgate, WORKERS } from './support/hubgate.ts';
import { writeLayout } from './support/oci-layout.ts';
import { mustRun } from './support/process.ts';
import { startRecordingProxy } from './support/recording-proxy.ts';
import { startUpstream } from './support/upstream.ts';

const PASSWORD = 's3cret-of-ana';
const ALPINE = '/v2/library/alpine/manifests/latest';
/** A client in the network of the rule, one outside it, and the balancers. */
const NEAR = '127.0.7.7';
const FAR = '127.0.8.8';
const TCP_BALANCER = '127.0.0.5';
const HTTP_BALANCER = '127.0.0.6';

const POLICY = `version: 1
allow:
  - { id: lab, pull: library/**, to: anonymous, from: [127.0.7.0/24, 127.0.0.1] }
  - { id: people, pull: library/**, to: authenticated }
...
`;

const stack = new AsyncDisposableStack();
let directory: string;
let hubgate: RunningHubgate;
/** The port of the balancers, which server.url names, and that of server.plain. */
let port: number;
let plainPort: number;

before(async () => {
  await installClients();
  await installBalancers();
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-balancers-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const at = (name: string) => path.join(directory, name);
  const upstream = stack.use(await startUpstream(at('upstream')));
  await writeLayout(at('alpine'), 'v1', 'the first one\n');
  await upstream.push(at('alpine'), 'v1', 'library/alpine:latest');
  await mkdir(at('home/config'), { recursive: true });
  await writeFile(at('home/config/access.yaml'), POLICY);
  port = await freePort();
  plainPort = await freePort();
  hubgate = stack.use(
    await startHubgate(
      at('home'),
      (own) => `
server:
  url: "https://localhost:${port}"
  names: [mirror.corp]
  listen: "127.0.0.1:${own}"
  plain: "127.0.0.1:${plainPort}"
  admin: "127.0.0.1:0"
  workers: ${WORKERS}
  proxyProtocol: [${TCP_BALANCER}]
  trustedProxies: [${HTTP_BALANCER}]
upstreams: { docker.io: { url: ${upstream.url.origin} } }
log: { format: json }
`,
    ),
  );
  const tls = { tls: true, rejectUnauthorized: false, agent: false, host: 'localhost' };
  const added = mustRun(
    process.execPath,
    [
      ...[path.join(import.meta.dirname, '../../src/bin/hubgate.ts'), 'user', 'add', 'ana'],
      ...['--password-stdin', '--home', at('home')],
    ],
    { stdin: PASSWORD },
  );
  await added;
  const authorization = `Basic ${Buffer.from(`ana:${PASSWORD}`).toString('base64')}`;
  const ping = () => ask({ ...tls, port: hubgate.port, path: '/v2/', headers: { authorization } });
  await waitFor(async () => (await ping()).status === 200);
});

after(() => stack.disposeAsync());

function audited(): Promise<Record<string, unknown>[]> {
  return readAuditLog(path.join(directory, 'home/state/audit.log'));
}

/** Through the balancer, from one of this machine's addresses. */
async function pullFrom(localAddress: string) {
  const ca = await readFile(path.join(directory, 'home/certs/ca.crt'), 'utf8');
  const before = (await audited()).length;
  const options = { tls: true, ca, servername: 'localhost', agent: false, host: '127.0.0.1', port } as const;
  const { status, headers } = await ask({ ...options, localAddress, path: ALPINE });
  await waitFor(async () => (await audited()).length > before);
  return { status, challenge: headers['www-authenticate'], address: (await audited()).at(-1)?.address };
}

const RECIPES: readonly [
  name: string,
  heading: string,
  kind: BalancerKind,
  address: string,
  edit?: readonly [string, string],
][] = [
  ['HAProxy with send-proxy-v2', 'HAProxy, TLS to the mirror', 'haproxy', TCP_BALANCER],
  [
    'HAProxy with send-proxy',
    'HAProxy, TLS to the mirror',
    'haproxy',
    TCP_BALANCER,
    ['send-proxy-v2', 'send-proxy'],
  ],
  ['HAProxy that ends TLS', 'HAProxy, TLS ends there', 'haproxy', HTTP_BALANCER],
  ['nginx with proxy_protocol', 'nginx, TLS to the mirror', 'nginx', TCP_BALANCER],
  ['nginx that ends TLS', 'nginx, TLS ends there', 'nginx', HTTP_BALANCER],
  ['nginx that speaks HTTP to the mirror', 'Without TLS', 'nginx', HTTP_BALANCER],
  ['HAProxy that speaks HTTP to the mirror', 'Without TLS', 'haproxy', HTTP_BALANCER],
];

for (const [name, heading, kind, address, [find, replacement] = ['', '']] of RECIPES)
  test(`behind ${name} the mirror knows its clients by their own addresses`, async () => {
    const text = (await recipe(heading, kind)).replace(find, replacement);
    const certificates = path.join(directory, 'home/certs');
    const mirror = { port: hubgate.port, plainPort };
    const options = { directory: path.join(directory, 'balancer'), recipe: text, port, address, mirror };
    await using _ = await startBalancer(kind, { ...options, certificates });
    const near = await pullFrom(NEAR);
    assert.deepEqual([near.status, near.address], [200, NEAR]);
    const far = await pullFrom(FAR);
    assert.deepEqual([far.status, far.address], [401, FAR]);
    assert.match(String(far.challenge), new RegExp(`^Bearer realm="https://localhost:${port}/token"`));
    const target = path.join(directory, 'copied');
    const image = `docker://localhost:${port}/library/alpine:latest`;
    const flags = [
      '--src-cert-dir',
      path.join(directory, 'home/certs/skopeo'),
      '--src-creds',
      `ana:${PASSWORD}`,
    ];
    await mkdir(path.join(directory, 'home/certs/skopeo'), { recursive: true });
    await writeFile(
      path.join(directory, 'home/certs/skopeo/ca.crt'),
      await readFile(path.join(certificates, 'ca.crt')),
    );
    await mustRun('skopeo', ['--insecure-policy', 'copy', ...flags, image, `dir:${target}`]);
    await waitFor(async () => {
      const { subject, address: from } = (await audited()).at(-1) ?? {};
      return subject === 'user:ana' && from === '127.0.0.1';
    });
    await rm(target, { recursive: true });
  });

test('a mirror that lists a balancer on its own machine finds nothing wrong with its listener', async () => {
  const said = await hubgate.run('doctor').catch((error: Error) => error.message);
  assert.doesNotMatch(said, /server\.listen/);
});

test('dockerd pulls an unprefixed image through a registry mirror without TLS, and asks nobody else', async () => {
  await using proxy = await startRecordingProxy();
  const env = proxy.environmentFor('127.0.0.1');
  const mirror = `http://127.0.0.1:${plainPort}`;
  await using docker = await startDocker(path.join(directory, 'docker'), mirror, { env });
  const { code, output } = await docker(['pull', 'alpine']);
  assert.equal(code, 0, output);
  assert.deepEqual(proxy.takeAsked(), []);
  const ran = await docker(['run', '--rm', '--network=none', 'alpine']);
  assert.equal(ran.output, 'the first one\n');
  const pulled = (await audited()).filter(({ agent }) => String(agent).startsWith('docker/'));
  assert.deepEqual(new Set(pulled.map(({ subject }) => subject)), new Set(['anonymous']));
});
