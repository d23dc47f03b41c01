/**
 * What doctor says of files as people have them; test/e2e/client-files.e2e.ts asks the programs themselves.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import type { Checked } from '../../../src/commands/doctor/checks.ts';
import { doctor } from '../../../src/commands/doctor/doctor.ts';
import { CLIENT_FILES, type ClientFile, clientFile } from '../../support/fixtures/client-files.ts';
import { freePort } from '../../support/free-port.ts';
import { imageOf } from '../../support/image.ts';
import { PASSWORD } from '../../support/test-hubgate.ts';
import { withMirror } from '../../support/with-mirror.ts';
import { run } from '../support/terminal.ts';

const PLACES: Readonly<Record<ClientFile['program'], string>> = {
  dockerd: '/etc/docker/daemon.json',
  containerd: '/etc/containerd/certs.d/docker.io/hosts.toml',
  kubelet: '/etc/containerd/config.toml',
  podman: '/etc/containers/registries.conf',
};
/** What doctor calls them. */
const NAMES: Readonly<Partial<Record<ClientFile['program'], string>>> = { kubelet: 'containerd' };
/** The checks of which each can say that a program pulls nothing. */
const STEPS = new Set(['mirror', 'programs', 'trust', 'client certificate', 'identity', 'pull']);

const { hubgate } = await withMirror(
  { after },
  { policy: 'allow: [{ pull: library/**, to: [anonymous, ana] }]', images: { 'library/alpine': imageOf() } },
);
const mirror = `localhost:${hubgate.port}`;
const closed = await freePort();
let root: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'hubgate-host-'));
});

afterEach(() => rm(root, { recursive: true }));

async function plant(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(path.join(root, file)), { recursive: true });
  await writeFile(path.join(root, file), text);
}

async function examine() {
  // On another machine, because dockerd trusts every mirror on a loopback address.
  const addresses = ['192.0.2.1'];
  const context = { clock: Date.now, root, hub: [{ host: 'localhost', port: closed }], addresses };
  const options = { home: root, json: true, fromClient: mirror, image: 'alpine' };
  const { stdout } = await run((terminal) => doctor(options, {}, terminal, context));
  const { checks } = JSON.parse(stdout) as { checks: Checked[] };
  return checks;
}

/** Does the program pull through the mirror, going by what doctor finds wrong? */
function verdict(checks: readonly Checked[], program: string): boolean {
  const relevant = checks.filter(({ name }) => name === program || STEPS.has(name));
  return relevant.every(({ outcome }) => outcome === 'ok');
}

for (const { name, program, isTrusted, pulls } of CLIENT_FILES)
  test(`doctor says that ${program} ${pulls ? 'pulls' : 'does not pull'} by ${name}, where the mirror is ${isTrusted ? 'trusted' : 'not trusted'}`, async () => {
    const called = NAMES[program] ?? program;
    await plant(`/usr/bin/${called}`, '');
    await plant(PLACES[program], await clientFile(name, mirror, PASSWORD));
    await plant('/etc/ssl/certs/ca-certificates.crt', isTrusted ? hubgate.ca : '');
    const checks = await examine();
    assert.equal(verdict(checks, called), pulls, JSON.stringify(checks, undefined, 2));
  });

test('doctor says what is wrong with a mirror that dockerd does not start with, and not its password', async () => {
  await plant('/etc/docker/daemon.json', await clientFile('daemon-user.json', mirror));
  const found = JSON.stringify(await examine());
  assert.match(found, /more than scheme, host and port.*dockerd does not start with it/);
  assert.doesNotMatch(found, /word/);
});

test('doctor says which image podman asks for by a wrong location', async () => {
  await plant('/usr/bin/podman', '');
  await plant('/etc/containers/registries.conf', await clientFile('registries-path.conf', mirror));
  assert.match(JSON.stringify(await examine()), /makes podman ask the mirror for hub\/library\/alpine/);
});

test('doctor reads mirrors in containerd’s own file also beside dockerd, and their login', async () => {
  await plant('/usr/bin/dockerd', '');
  const text = await clientFile('containerd-legacy-config.toml', mirror, PASSWORD);
  await plant('/etc/containerd/config.toml', text);
  const checks = await examine();
  const [own, identity, trust] = ['containerd', 'identity', 'trust'].map((one) =>
    checks.find(({ name }) => name === one),
  );
  assert.equal(own?.outcome, 'ok');
  assert.match(JSON.stringify(identity), /containerd is user:ana to the mirror/);
  assert.match(JSON.stringify(trust), /containerd does not verify the mirror’s certificate/);
});

test('doctor says that the login in containerd’s own file is refused', async () => {
  await plant('/usr/bin/containerd', '');
  await plant('/etc/containerd/config.toml', await clientFile('containerd-legacy-config.toml', mirror));
  const identity = (await examine()).find(({ name }) => name === 'identity');
  assert.equal(identity?.outcome, 'wrong', JSON.stringify(identity));
});
