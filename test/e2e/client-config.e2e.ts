import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { MountNamespace } from '../crash/support/mount-namespace.ts';
import { readAuditLog } from '../support/audit-log.ts';
import { waitFor } from '../support/wait-for.ts';
import { installClients, startContainerd, startDocker } from './support/clients.ts';
import { type RunningHubgate, startHubgate, WORKERS } from './support/hubgate.ts';
import { writeLayout } from './support/oci-layout.ts';
import { type Result, run } from './support/process.ts';
import { type RecordingProxy, startRecordingProxy } from './support/recording-proxy.ts';
import { startUpstream } from './support/upstream.ts';

/** Docker reads no certificates for a registry on a loopback address. */
const ADDRESS =
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '';

const POLICY = `version: 1
allow:
  - { pull: library/alpine, to: "cert:node-*" }
  - { pull: library/alpine, to: ana }
...
`;
const PASSWORD = 's3cret-of-ana';
const HUB = 'registry-1.docker.io:443';

const stack = new AsyncDisposableStack();
let directory: string;
let hubgate: RunningHubgate;
let proxy: RecordingProxy;

before(async () => {
  assert.ok(ADDRESS, 'the machine has no address but loopback');
  await installClients();
  directory = await mkdtemp(path.join(tmpdir(), 'hubgate-e2e-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const at = (name: string) => path.join(directory, name);
  proxy = stack.use(await startRecordingProxy());
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
log: { format: json }
`,
    ),
  );
  await hubgate.addUser('ana', PASSWORD);
});

after(() => stack.disposeAsync());

/** A machine of its own, as far as its `/etc` goes, on which nobody has configured anything yet. */
interface Machine extends AsyncDisposable {
  readonly entrance: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Runs a command on it; the mirror is all that it reaches. */
  run(command: string, ...args: string[]): Promise<Result>;
  /** Puts the files of a kit in place, as the kit says it. */
  install(client: string, name: string, ...flags: string[]): Promise<Kit>;
}

interface Kit {
  readonly subject: string;
  readonly notes: { readonly check: readonly string[]; readonly fallback: readonly string[] };
}

async function makeMachine(name: string): Promise<Machine> {
  proxy.takeAsked();
  const namespace = await MountNamespace.make();
  const root = path.join(directory, name);
  await mkdir(root, { recursive: true });
  await namespace.run('cp', '--archive', '/etc', root);
  await namespace.run('mount', '--bind', path.join(root, 'etc'), '/etc');
  for (const configured of ['docker', 'containerd/certs.d', 'containers/certs.d'])
    await namespace.run('rm', '-rf', `/etc/${configured}`);
  const env = { ...proxy.environmentFor(ADDRESS), HOME: root };
  const { entrance } = namespace;
  const [enter = '', ...into] = entrance;
  return {
    entrance,
    env,
    run: (command, ...args) => run(enter, [...into, command, ...args], { env }),
    async install(client, subject, ...flags) {
      const out = path.join(directory, `${subject}-${client}-files`);
      const asked = ['client-config', client, '--for', subject, '--out', out, '--json', ...flags];
      const kit = JSON.parse(await hubgate.run(...asked));
      const copied = await run('sh', ['-c', kit.install.replaceAll('ssh root@NODE', entrance.join(' '))]);
      assert.equal(copied.code, 0, copied.output);
      return kit;
    },
    [Symbol.asyncDispose]: () => namespace[Symbol.asyncDispose](),
  };
}

/** A machine's certificate must not prevent a person's login there. */
async function assertLoginCounts(
  login: (password: string) => Promise<Result>,
  pull: () => Promise<Result>,
): Promise<void> {
  const wrong = await login('wrong');
  assert.notEqual(wrong.code, 0, wrong.output);
  const right = await login(PASSWORD);
  assert.equal(right.code, 0, right.output);
  const before = (await pullsOf('user:ana')).length;
  const { code, output } = await pull();
  assert.equal(code, 0, output);
  await waitFor(async () => (await pullsOf('user:ana')).length > before);
}

async function pullsOf(who: string): Promise<Record<string, unknown>[]> {
  const lines = await readAuditLog(path.join(hubgate.home, 'state/audit.log'));
  return lines.filter(({ action, subject }) => action === 'pull' && subject === who);
}

/** Blobs and manifests. Nobody but nodes may have them, so nothing of it came as somebody else. */
async function assertPulledAs(subject: string): Promise<void> {
  await waitFor(async () => (await pullsOf(subject)).length >= 5);
  for (const { decision, repository } of await pullsOf(subject))
    assert.deepEqual([decision, repository], ['allow', 'docker.io/library/alpine']);
  assert.deepEqual(proxy.takeAsked(), []);
}

/** The proof of the kit itself, as it is to be pasted. */
async function statusShown(machine: Machine, kit: Kit): Promise<string> {
  const [command = ''] = kit.notes.check.find((line) => line.startsWith('curl '))?.split('   ') ?? [];
  return (await machine.run('sh', '-c', command)).output.trim();
}

/**
 * Revokes, and pulls until every gateway knows: a pull during which one learns it is no measure.
 *
 * @returns what was asked for elsewhere than here.
 */
async function askedWhenRevoked(
  name: string,
  strict: boolean,
  pull: () => Promise<Result>,
): Promise<string[]> {
  await hubgate.run('cert', 'revoke', name);
  const asked = new Set<string>();
  await waitFor(async () => {
    const { code } = await pull();
    for (const host of proxy.takeAsked()) asked.add(host);
    return code !== 0 && (strict || asked.size > 0);
  });
  for (let again = 0; again < 4; again++) assert.notEqual((await pull()).code, 0);
  return [...asked, ...proxy.takeAsked().filter((host) => !asked.has(host))];
}

test('dockerd pulls by what client-config wrote, as its node; revoked, it asks the Hub, as the kit says', async () => {
  await using machine = await makeMachine('dockerd');
  const kit = await machine.install('dockerd', 'node-docker', '--strict');
  await using docker = await startDocker(path.join(directory, 'docker'), undefined, machine);
  const mirrors = await docker(['info', '--format', '{{json .RegistryConfig.Mirrors}}']);
  assert.ok(kit.notes.check[0]?.endsWith(`prints ${mirrors.output.trim()}`), mirrors.output);
  assert.equal(await statusShown(machine, kit), '200');
  const pull = async () => {
    await docker(['rmi', '--force', 'alpine']);
    return docker(['pull', 'alpine']);
  };
  const { code, output } = await pull();
  assert.equal(code, 0, output);
  await assertPulledAs('cert:node-docker');
  const mirror = `${ADDRESS}:${hubgate.port}`;
  await assertLoginCounts(
    (password) => docker(['login', mirror, '-u', 'ana', '--password-stdin'], { stdin: password }),
    async () => {
      await docker(['rmi', '--force', 'alpine']);
      return docker(['pull', `${mirror}/library/alpine`]);
    },
  );
  await docker(['rmi', '--force', `${mirror}/library/alpine`]);
  // Who is logged in at the mirror pulls an unprefixed name as the node all the same.
  const asNode = (await pullsOf('cert:node-docker')).length;
  assert.equal((await pull()).code, 0);
  await waitFor(async () => (await pullsOf('cert:node-docker')).length > asNode);
  assert.deepEqual(await askedWhenRevoked('node-docker', false, pull), [HUB]);
  assert.match(kit.notes.fallback.join(' '), /block registry-1\.docker\.io and auth\.docker\.io/);
});

test('containerd pulls by what client-config wrote; with --strict a revoked node has no way around', async () => {
  await using _ = await startContainerd(path.join(directory, 'containerd'));
  for (const [name, strict] of [
    ['node-open', []],
    ['node-strict', ['--strict']],
  ] as const) {
    await using machine = await makeMachine(name);
    const kit = await machine.install('containerd', name, ...strict);
    const ctr = (...args: string[]) =>
      machine.run('ctr', '--address', path.join(directory, 'containerd/containerd.sock'), 'images', ...args);
    const image = 'docker.io/library/alpine:latest';
    const pull = async (what = image) => {
      await ctr('remove', '--sync', what);
      return ctr('pull', '--snapshotter', 'native', '--hosts-dir', '/etc/containerd/certs.d', what);
    };
    assert.equal(await statusShown(machine, kit), '200');
    const { code, output } = await pull();
    assert.equal(code, 0, output);
    await assertPulledAs(kit.subject);
    const ownName = `${ADDRESS}:${hubgate.port}/docker.io/library/alpine:latest`;
    assert.notEqual((await pull(ownName)).code, 0);
    const byLogin = async (password: string) => {
      const flags = ['--snapshotter', 'native', '--hosts-dir', '/etc/containerd/certs.d'];
      return ctr('pull', ...flags, '--user', `ana:${password}`, ownName);
    };
    await assertLoginCounts(byLogin, () => byLogin(PASSWORD));
    // Else the next pull would find its content here.
    await ctr('remove', '--sync', ownName);
    const isStrict = strict.length > 0;
    assert.deepEqual(await askedWhenRevoked(name, isStrict, pull), isStrict ? [] : [HUB]);
    assert.equal(await statusShown(machine, kit), '401');
  }
});

for (const client of ['podman', 'skopeo'] as const) {
  test(`${client} pulls by what client-config wrote; with --strict a revoked node has no way around`, async () => {
    for (const [name, strict] of [
      [`node-${client}-open`, []],
      [`node-${client}-strict`, ['--strict']],
    ] as const) {
      await using machine = await makeMachine(name);
      const kit = await machine.install(client, name, ...strict);
      const pull = client === 'podman' ? podmanPull(machine, name) : skopeoPull(machine, name);
      assert.equal(await statusShown(machine, kit), '200');
      const { code, output } = await pull();
      assert.equal(code, 0, output);
      await assertPulledAs(kit.subject);
      await assertChecks(machine, client, kit);
      const mirror = `${ADDRESS}:${hubgate.port}`;
      const ofMirror = ['--authfile', path.join(directory, name, 'auth.json')];
      await assertLoginCounts(
        (password) => machine.run(client, 'login', ...ofMirror, '-u', 'ana', '-p', password, mirror),
        () => machine.run('skopeo', 'inspect', '--no-tags', ...ofMirror, `docker://${mirror}/library/alpine`),
      );
      const isStrict = strict.length > 0;
      assert.deepEqual(await askedWhenRevoked(name, isStrict, pull), isStrict ? [] : [HUB]);
    }
  });
}

/**
 * Every command of the kit's check that this client has, as it is printed, and nobody but the mirror is
 * asked.
 */
async function assertChecks(machine: Machine, client: string, kit: Kit): Promise<void> {
  if (client !== 'skopeo') return;
  for (const line of kit.notes.check.filter((one) => one.startsWith('skopeo '))) {
    const [command = ''] = line.split('   ');
    const { code, output } = await machine.run('sh', '-c', command);
    assert.equal(code, 0, `${command}: ${output}`);
  }
  assert.deepEqual(proxy.takeAsked(), []);
}

/** By the short name: the machine's own `shortnames.conf` says what it stands for. */
function podmanPull(machine: Machine, name: string) {
  const at = (part: string) => path.join(directory, name, part);
  const flags = ['--root', at('storage'), '--runroot', at('run'), '--storage-driver', 'vfs'];
  return async () => {
    await machine.run('podman', ...flags, 'rmi', '--force', 'alpine');
    return machine.run('podman', ...flags, 'pull', 'alpine');
  };
}

function skopeoPull(machine: Machine, name: string) {
  const target = path.join(directory, name, 'copied');
  return async () => {
    await rm(target, { recursive: true, force: true });
    return machine.run('skopeo', '--insecure-policy', 'copy', 'docker://alpine', `dir:${target}`);
  };
}
