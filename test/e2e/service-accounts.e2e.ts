/**
 * Pods pull as their own service accounts: the kit's credential provider answers as kubelet asks it, and the
 * CRI plugin of containerd pulls with that answer. A stand-in for the Hub sees who gives it a password.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { podTokenFindings } from '../../src/commands/doctor/client/credential-provider.ts';
import { HostFiles } from '../../src/commands/doctor/client/host-files.ts';
import { parseMirror } from '../../src/commands/doctor/client/mirror.ts';
import { FakeIssuer } from '../support/fake-issuer.ts';
import { waitFor } from '../support/wait-for.ts';
import { installClients } from './support/clients.ts';
import { type CriLogin, startCri } from './support/cri.ts';
import { type RunningHubgate, startHubgate, WORKERS } from './support/hubgate.ts';
import { writeLayout } from './support/oci-layout.ts';
import { run } from './support/process.ts';
import { type RecordingProxy, startRecordingProxy } from './support/recording-proxy.ts';
import { startUpstream } from './support/upstream.ts';

const ADDRESS =
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '';
const POLICY = `version: 1
allow:
  - { id: shop, pull: library/alpine, to: "oidc:cluster:system:serviceaccount:shop:*" }
...
`;
const IMAGE = 'docker.io/library/alpine:latest';

const stack = new AsyncDisposableStack();
let directory: string;
let hubgate: RunningHubgate;
let proxy: RecordingProxy;
let issuer: FakeIssuer;
let certs: string;

const at = (...names: string[]) => path.join(directory, ...names);

before(async () => {
  assert.ok(ADDRESS, 'the machine has no address but loopback');
  await installClients();
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-pods-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  proxy = stack.use(await startRecordingProxy());
  issuer = stack.use(await FakeIssuer.start());
  const upstream = stack.use(await startUpstream(at('upstream')));
  await writeLayout(at('alpine'), 'v1', 'the first one\n');
  await upstream.push(at('alpine'), 'v1', 'library/alpine:latest');
  await mkdir(at('home/config'), { recursive: true });
  await writeFile(at('home/config/access.yaml'), POLICY);
  hubgate = stack.use(
    await startHubgate(
      at('home'),
      (port) => `
server: { url: "https://${ADDRESS}:${port}", listen: ":${port}", admin: "127.0.0.1:0", workers: ${WORKERS} }
upstreams: { docker.io: { url: ${upstream.url.origin} } }
federation: { cluster: { issuer: "${issuer.url}", audience: mirror.corp, subject: "\${sub}" } }
log: { format: json }
`,
    ),
  );
  await hubgate.run('client-config', 'kubernetes', '--service-accounts', '--out', at('node'));
  certs = await placed();
});

after(() => stack.disposeAsync());

/** Puts the kit's hosts.toml where this machine's containerd is told to look; the paths in it follow. */
async function placed(): Promise<string> {
  const root = at('node/etc/containerd/certs.d');
  for (const name of await readdir(root)) {
    const file = path.join(root, name, 'hosts.toml');
    await writeFile(file, (await readFile(file, 'utf8')).replaceAll('/etc/containerd/certs.d', root));
  }
  return root;
}

/** Returns the answer of the provider to kubelet for a pod of a service account. */
async function loginOf(account: string): Promise<CriLogin> {
  const serviceAccountToken = await issuer.sign({ sub: `system:serviceaccount:${account}` });
  const request = {
    kind: 'CredentialProviderRequest',
    apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
    image: IMAGE,
    serviceAccountToken,
    serviceAccountAnnotations: {},
  };
  const script = at('node/etc/kubernetes/credential-providers/hubgate-credential-provider');
  const { code, output } = await run(script, ['docker.io', `${ADDRESS}:${hubgate.port}`], {
    stdin: `${JSON.stringify(request)}\n`,
  });
  assert.equal(code, 0, output);
  return JSON.parse(output).auth['docker.io'];
}

async function pull(login?: CriLogin): Promise<string | undefined> {
  const text = `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "${certs}"\n`;
  await using cri = await startCri(await mkdtemp(at('cri-')), text, proxy.environmentFor(ADDRESS));
  return await cri.pull(IMAGE, login);
}

/** Returns what the doctor finds on this node about the tokens of pods. */
async function leaksByDoctor(): Promise<readonly string[]> {
  const mirror = parseMirror(`https://${ADDRESS}:${hubgate.port}`, 'alpine');
  assert.ok(!('refusal' in mirror));
  const findings = await podTokenFindings(new HostFiles(at('node')), { ...mirror, addresses: [ADDRESS] });
  return findings.map(({ where, what }) => `${where} ${what}`);
}

async function auditOf(subject: string): Promise<string> {
  return hubgate.run('audit', '--since', '1h', '--subject', `oidc:cluster:${subject}`, '--json');
}

test('a pod pulls an image of the Hub as its own service account, and only what its rule grants', async () => {
  const web = 'system:serviceaccount:shop:web';
  assert.equal(await pull(await loginOf('shop:web')), undefined);
  await waitFor(async () => (await auditOf(web)).includes('"decision":"allow"'));
  assert.match(
    String(await pull(await loginOf('other:web'))),
    /denied|403|insufficient_scope|authoriz|not found/i,
  );
  assert.match(String(await pull()), /authoriz|401|insufficient_scope/i);
  assert.deepEqual(proxy.takeAsked(), [], 'only the mirror was asked');
});

/** Plays Docker Hub, and records every credential that it is given. */
async function startHub() {
  const given: string[] = [];
  let asked = 0;
  const server = createServer(async (request, response) => {
    asked += 1;
    let body = '';
    for await (const chunk of request) body += chunk;
    given.push(String(request.headers.authorization ?? ''), body, request.url ?? '');
    const { port } = server.address() as AddressInfo;
    const realm = `Bearer realm="http://127.0.0.1:${port}/token",service="hub"`;
    if (request.url?.startsWith('/token')) response.end(JSON.stringify({ token: 'hub' }));
    else response.writeHead(401, { 'www-authenticate': realm }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked: () => asked,
    /** True if one of these texts, as it is or in Basic, was in what it was given. */
    knows: (password: string) =>
      given.some((text) => {
        const basic = Buffer.from(text.replace(/^Basic /, ''), 'base64').toString();
        return [text, decodeURIComponent(text.replaceAll('%', '%25')), basic].some((one) =>
          one.includes(password),
        );
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('a refused pod’s token reaches no Hub by the kit’s hosts.toml; by one that falls back it would, and doctor says so', async () => {
  await using hub = await startHub();
  const file = path.join(certs, 'docker.io/hosts.toml');
  const strict = await readFile(file, 'utf8');
  const login = await loginOf('other:web');
  assert.notEqual(await pull(login), undefined);
  assert.deepEqual([hub.asked(), proxy.takeAsked()], [0, []]);
  assert.deepEqual(await leaksByDoctor(), []);
  // The stand-in must be able to see a password, or the test above proves nothing.
  await writeFile(file, strict.replace(/^server = .*$/m, `server = "${hub.url}"`).replace(/^ca = .*$/m, ''));
  assert.notEqual(await pull(login), undefined);
  assert.ok(hub.asked() > 0);
  assert.ok(hub.knows(login.password), 'containerd does not give the token away; the docs say it does');
  const [leak = '', ...more] = await leaksByDoctor();
  assert.ok(leak.includes(`docker.io/hosts.toml sends the tokens of pods to ${hub.url}`), leak);
  assert.deepEqual(more, []);
  await writeFile(file, strict);
});
