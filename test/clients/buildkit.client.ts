import assert from 'node:assert/strict';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { startBuildkitd } from './support/daemons.ts';
import { attestedImage, smallImage } from './support/images.ts';
import { commandOf, trustAsPrinted } from './support/machine.ts';
import { type ConfiguredNode, type Node, nodeOf } from './support/node.ts';
import { binariesOf, whyMissing } from './support/programs.ts';
import { PASSWORD, startWorld, type World } from './support/world.ts';

const skip = await whyMissing('buildkit', 'crane');
const withoutBuildx = skip || (await whyMissing('buildx'));

let world: World;

before(async () => {
  if (skip !== false) return;
  world = await startWorld();
  const { docker } = world.hub;
  docker.push('library/alpine', 'latest', await attestedImage('alpine'));
  docker.push('acme/secret', 'latest', await smallImage('secret'), { private: true });
});

after(() => world?.[Symbol.asyncDispose]());

async function makeNode(name: string): Promise<ConfiguredNode> {
  await using stack = new AsyncDisposableStack();
  const machine = stack.use(await world.machine(name));
  const kit = await world.kit(machine, 'buildkit', name);
  await trustAsPrinted(machine, kit);
  const daemon = await startBuildkitd(machine);
  stack.move();
  return { ...nodeOf(machine, daemon), kit };
}

/** A command that builds from an image, and asks for its tag again. */
async function buildFrom(node: Node, image: string): Promise<string> {
  const context = path.join(node.machine.root, 'context');
  await mkdir(context, { recursive: true });
  await writeFile(path.join(context, 'Dockerfile'), `FROM ${image}\nCOPY Dockerfile /\n`);
  const files = `--local context=${context} --local dockerfile=${context}`;
  const options = '--frontend dockerfile.v0 --no-cache --opt image-resolve-mode=pull';
  return `buildctl build ${options} ${files} --output type=oci,dest=/dev/null`;
}

test('BuildKit builds as its node, also while the Hub is blocked', { skip }, async () => {
  await using node = await makeNode('node-build');
  const [curl = ''] = node.kit.notes.check.map(commandOf);
  assert.equal((await node.mustRun(curl)).trim(), '200');
  world.forgetPulls();
  const build = await buildFrom(node, 'alpine');
  await node.mustRun(build);
  await world.assertMirrorOnly(node.kit.subject);
  using _ = world.hubBlocked();
  await node.mustRun('buildctl prune --all');
  await node.mustRun(build);
  await world.assertMirrorOnly(node.kit.subject);
});

test('docker buildx builds as the kit prints it, also while the Hub is blocked', {
  skip: withoutBuildx,
}, async () => {
  await using node = await makeNode('node-buildx');
  const plugins = path.join(node.machine.root, 'home/.docker/cli-plugins');
  await mkdir(plugins, { recursive: true });
  await symlink(path.join(binariesOf('buildx'), 'buildx'), path.join(plugins, 'docker-buildx'));
  // The kit makes a builder in a container; the program of the builder is the same, and so is its file.
  await node.mustRun('docker buildx create --use --name mirror --driver remote "$BUILDKIT_HOST"');
  const build =
    node.kit.notes.check.map(commandOf).find((line) => line.includes('docker buildx build')) ?? '';
  world.forgetPulls();
  await node.mustRun(build);
  await world.assertMirrorOnly(node.kit.subject);
  using _ = world.hubBlocked();
  await node.mustRun('docker buildx prune --all --force');
  await node.mustRun(build);
  await world.assertMirrorOnly(node.kit.subject);
});

test('names that begin with the mirror’s go by the login of who builds', { skip }, async () => {
  await using node = await makeNode('node-login');
  const build = await buildFrom(node, 'mirror.corp/acme/secret');
  await node.mustFail(build);
  for (const [password, isRight] of [
    ['wrong', false],
    [PASSWORD, true],
  ] as const) {
    const login = 'crane auth login mirror.corp -u ana --password-stdin';
    await node.mustRun(login, { stdin: password, programs: [binariesOf('crane')] });
    if (isRight) await node.mustRun(build);
    else await node.mustFail(build);
  }
  await world.assertMirrorOnly('user:ana');
  await node.mustRun(await buildFrom(node, 'alpine'));
  await world.assertMirrorOnly(node.kit.subject);
});
