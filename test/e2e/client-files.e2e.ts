/**
 * Whether the programs pull through the mirror by files as people have them: what doctor says of these, they
 * do.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { CLIENT_FILES, type ClientFile, clientFile } from '../support/fixtures/client-files.ts';
import { PASSWORD } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Containerd, installClients, startContainerd, startDocker } from './support/clients.ts';
import { startCri } from './support/cri.ts';
import { type RunningHubgate, startHubgate, WORKERS } from './support/hubgate.ts';
import { writeLayout } from './support/oci-layout.ts';
import { run } from './support/process.ts';
import { type RecordingProxy, startRecordingProxy } from './support/recording-proxy.ts';
import { startUpstream } from './support/upstream.ts';

/** dockerd verifies no certificate on a loopback address. */
const ADDRESS =
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '';
const POLICY = `version: 1
allow:
  - { pull: library/alpine, to: anonymous }
  - { pull: library/nginx, to: ana }
...
`;

const stack = new AsyncDisposableStack();
let directory: string;
let hubgate: RunningHubgate;
let proxy: RecordingProxy;
let containerd: Containerd;
let mirror: string;

const at = (name: string) => path.join(directory, name);

before(async () => {
  assert.ok(ADDRESS, 'the machine has no address but loopback');
  await installClients();
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-files-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  proxy = stack.use(await startRecordingProxy());
  const upstream = stack.use(await startUpstream(at('upstream')));
  await writeLayout(at('alpine'), 'v1', 'the first one\n');
  for (const name of ['alpine', 'nginx']) await upstream.push(at('alpine'), 'v1', `library/${name}:latest`);
  await mkdir(at('home/config'), { recursive: true });
  await writeFile(at('home/config/access.yaml'), POLICY);
  hubgate = stack.use(
    await startHubgate(
      at('home'),
      (port) => `
server: { url: "https://${ADDRESS}:${port}", listen: ":${port}", admin: "127.0.0.1:0", workers: ${WORKERS} }
upstreams: { docker.io: { url: ${upstream.url.origin} } }
log: { format: json }
`,
    ),
  );
  mirror = `${ADDRESS}:${hubgate.port}`;
  await hubgate.addUser('ana', PASSWORD);
  containerd = stack.use(await startContainerd(at('containerd')));
  await writeFile(at('none.crt'), '');
  await mkdir(at('no-certificates'));
});

after(() => stack.disposeAsync());

/**
 * Its machine's trust store is a file, and everything but the mirror is behind a proxy that lets nothing
 * through.
 */
function environment(isTrusted: boolean): Record<string, string> {
  const store = isTrusted ? at('home/certs/ca.crt') : at('none.crt');
  return { ...proxy.environmentFor(ADDRESS), SSL_CERT_FILE: store, SSL_CERT_DIR: at('no-certificates') };
}

async function granted(): Promise<number> {
  const text = await readFile(at('home/state/audit.log'), 'utf8').catch(() => '');
  const isPull = /"action":"pull".*"repository":"docker\.io\/library\/alpine".*"decision":"allow"/;
  return text.split('\n').filter((line) => isPull.test(line)).length;
}

async function pullByCri(text: string, isTrusted: boolean, image: string): Promise<string | undefined> {
  await using cri = await startCri(await mkdtemp(at('cri-')), text, environment(isTrusted));
  return await cri.pull(`docker.io/library/${image}:latest`);
}

const PULLS: Readonly<Record<ClientFile['program'], (text: string, trusted: boolean) => Promise<boolean>>> = {
  async dockerd(text, isTrusted) {
    const own = await mkdtemp(at('dockerd-'));
    const file = path.join(own, 'daemon.json');
    await writeFile(file, text);
    const daemon = { env: environment(isTrusted), configFile: file };
    try {
      await using docker = await startDocker(own, undefined, daemon);
      return (await docker(['pull', 'alpine'])).code === 0;
    } catch (error) {
      assert.match(String(error), /does not start/);
      return false;
    } finally {
      // A dockerd that ends as it starts leaves its directory mounted, and others have unmounted theirs.
      await run('umount', ['--lazy', path.join(own, 'data')]);
    }
  },
  async containerd(text, isTrusted) {
    const hosts = await mkdtemp(at('hosts-'));
    await mkdir(path.join(hosts, 'docker.io'));
    await writeFile(path.join(hosts, 'docker.io/hosts.toml'), text);
    const image = 'docker.io/library/alpine:latest';
    await containerd.ctr(['images', 'remove', '--sync', image]);
    const flags = ['--snapshotter', 'native', '--hosts-dir', hosts];
    const pulled = await containerd.ctr(['images', 'pull', ...flags, image], environment(isTrusted));
    return pulled.code === 0;
  },
  kubelet: async (text, isTrusted) => (await pullByCri(text, isTrusted, 'alpine')) === undefined,
  async podman(text, isTrusted) {
    const own = await mkdtemp(at('podman-'));
    const file = path.join(own, 'registries.conf');
    await writeFile(file, text);
    // In a mount namespace of its own, because skopeo takes its file from nowhere else.
    const mounts = `mount --bind ${file} /etc/containers/registries.conf && mount -t tmpfs none /etc/containers/registries.conf.d`;
    const skopeo = `skopeo --insecure-policy copy docker://docker.io/library/alpine dir:${own}/copied`;
    const args = ['--mount', 'sh', '-c', `${mounts} && exec ${skopeo}`];
    return (await run('unshare', args, { env: environment(isTrusted) })).code === 0;
  },
};

for (const { name, program, isTrusted, pulls } of CLIENT_FILES)
  test(`${program} ${pulls ? 'pulls' : 'does not pull'} through the mirror by ${name}, where the mirror is ${isTrusted ? 'trusted' : 'not trusted'}`, async () => {
    const before = await granted();
    const pulled = await PULLS[program](await clientFile(name, mirror, PASSWORD), isTrusted);
    assert.equal(pulled, pulls);
    // The line of a pull is written a moment after its end.
    if (pulls) await waitFor(async () => (await granted()) > before);
    else assert.equal(await granted(), before);
  });

test('kubelet’s containerd logs in to the mirror by the login in its own file, and pulls nothing by a wrong one', async () => {
  const file = 'containerd-legacy-config.toml';
  assert.equal(await pullByCri(await clientFile(file, mirror, PASSWORD), false, 'nginx'), undefined);
  assert.match(String(await pullByCri(await clientFile(file, mirror), false, 'nginx')), /401|authoriz/i);
});
