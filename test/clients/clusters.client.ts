/**
 * The kits of clusters. A node of the cluster is a machine of the suite, which gets the files as the tool of
 * the cluster does it.
 */
import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { containerdConfig, type Daemon, startContainerd, startDockerd } from './support/daemons.ts';
import { attestedImage } from './support/images.ts';
import type { Machine, PrintedKit } from './support/machine.ts';
import { type Node, nodeOf, withoutDaemon } from './support/node.ts';
import { binariesOf, whyMissing } from './support/programs.ts';
import { startWorld, type World } from './support/world.ts';

const skip = await whyMissing('containerd', 'crictl', 'dockerd');
const withoutKind = skip || (await whyMissing('kind'));
const withoutWharfie = skip || (await whyMissing('wharfie'));

/** The nodes of minikube, and those of kind since 0.27, have this line of their own. */
const READS_HOSTS =
  '[plugins."io.containerd.cri.v1.images".registry]\n  config_path = "/etc/containerd/certs.d"\n';

let world: World;

before(async () => {
  if (skip !== false) return;
  world = await startWorld();
  world.hub.docker.push('library/alpine', 'latest', await attestedImage('alpine'));
});

after(() => world?.[Symbol.asyncDispose]());

/** Pulls as the node of the kit, although the Hub is blocked. */
async function assertPulls(node: Node, { subject }: PrintedKit, line: string): Promise<void> {
  using _ = world.hubBlocked();
  world.forgetPulls();
  await node.mustRun(line);
  await world.assertMirrorOnly(subject);
}

/** Makes a node of a machine with a daemon, which it ends too if it cannot be made. */
async function nodeWith(machine: Machine, start: () => Promise<Daemon>): Promise<Node> {
  try {
    return nodeOf(machine, await start());
  } catch (error) {
    await machine[Symbol.asyncDispose]();
    throw error;
  }
}

async function mustRun(machine: Machine, line: string): Promise<void> {
  const { code, output } = await machine.shell(line);
  assert.equal(code, 0, `${line}: ${output}`);
}

/** Puts the files of the kit into the directory of minikube, from which it copies them to its node. */
async function startMinikube(machine: Machine, name: string): Promise<PrintedKit> {
  const kit = await world.writtenKit('minikube', name, '--strict');
  const [merge = ''] = kit.notes.merge.map((line) => /: (cp -a .*)$/.exec(line)?.[1] ?? '');
  await mustRun(machine, `cd ${world.directory}/minikube-${name}-files && ${merge}`);
  await mustRun(machine, 'cp -a ~/.minikube/files/etc/. /etc/');
  return kit;
}

test('a minikube with containerd pulls as its node', { skip }, async () => {
  const machine = await world.machine('mk-containerd');
  let kit: PrintedKit | undefined;
  await using node = await nodeWith(machine, async () => {
    kit = await startMinikube(machine, 'mk-containerd');
    return startContainerd(machine, `${containerdConfig(machine)}${READS_HOSTS}`);
  });
  assert.ok(kit);
  await assertPulls(node, kit, 'crictl pull docker.io/library/alpine');
});

test('a minikube with Docker pulls as its node', { skip }, async () => {
  const machine = await world.machine('mk-docker');
  let kit: PrintedKit | undefined;
  await using node = await nodeWith(machine, async () => {
    kit = await startMinikube(machine, 'mk-docker');
    const [mirror] = kit.notes.reload.flatMap((line) => /--registry-mirror=(\S+)/.exec(line)?.[1] ?? []);
    const settings = JSON.stringify({ 'registry-mirrors': [mirror] });
    await writeFile(path.join(machine.root, 'etc/docker/daemon.json'), settings);
    return startDockerd(machine, 'classic store');
  });
  assert.ok(kit);
  await assertPulls(node, kit, 'docker pull alpine');
});

test('kind gives its node the files of the kit, and the node pulls by them', {
  skip: withoutKind,
}, async () => {
  const machine = await world.machine('kind');
  let kit: PrintedKit | undefined;
  await using node = await nodeWith(machine, async () => {
    kit = await world.writtenKit('kind', 'kind', '--strict');
    const config = path.join(machine.root, 'etc/containerd/config.toml');
    await mkdir(path.dirname(config), { recursive: true });
    await writeFile(config, `${containerdConfig(machine)}${READS_HOSTS}`);
    const docker = path.join(machine.root, 'bin/docker');
    await mkdir(path.dirname(docker));
    await copyFile(path.join(import.meta.dirname, 'support/docker-of-kind.sh'), docker);
    await mustRun(machine, `chmod +x ${docker}`);
    const [create = ''] = kit.notes.reload.map((line) => line.split('   ')[0]);
    const programs = [path.dirname(docker), binariesOf('kind')];
    const line = `cd ${world.directory}/kind-kind-files && ${create} --retain`;
    const { output } = await machine.shell(line, { programs });
    assert.match(output, /kubeadm init/, output);
    return startContainerd(machine, await readFile(config, 'utf8'));
  });
  assert.ok(kit);
  await assertPulls(node, kit, 'crictl pull docker.io/library/alpine');
});

/**
 * Pulls with the library by which k3s and RKE2 read their registries.yaml, and k3s's and RKE2's own program
 * for it.
 */
async function assertWharfiePulls(machine: Machine, kit: PrintedKit, file: string): Promise<void> {
  await using node = nodeOf(machine, withoutDaemon([binariesOf('wharfie')]));
  await assertPulls(node, kit, `wharfie --private-registry ${file} docker.io/library/alpine:latest ~/alpine`);
}

for (const client of ['k3s', 'rke2']) {
  test(`the registries.yaml of ${client} is read, and pulls as its node`, {
    skip: withoutWharfie,
  }, async () => {
    const machine = await world.machine(client);
    const kit = await world.kit(machine, client, client);
    await assertWharfiePulls(machine, kit, `/etc/rancher/${client}/registries.yaml`);
  });
}

test('the registries.yaml within the file of k3d is read, and pulls as its node', {
  skip: withoutWharfie,
}, async () => {
  const machine = await world.machine('k3d');
  const kit = await world.writtenKit('k3d', 'k3d');
  const files = path.join(world.directory, 'k3d-k3d-files');
  const { registries } = parse(await readFile(path.join(files, 'hubgate-k3d.yaml'), 'utf8'));
  const [volume = ''] = kit.notes.reload.flatMap((line) => /--volume "([^"]+)@all"/.exec(line)?.[1] ?? []);
  const [from = '', to = ''] = volume.replace('$PWD', files).split(':');
  await mustRun(machine, `mkdir -p ${to} && mount --bind ${from} ${to}`);
  const file = path.join(machine.root, 'etc/rancher/k3s/registries.yaml');
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, registries.config);
  await assertWharfiePulls(machine, kit, '/etc/rancher/k3s/registries.yaml');
});
