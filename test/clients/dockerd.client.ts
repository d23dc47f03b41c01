import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { waitFor } from '../support/wait-for.ts';
import { type Dockerd, startDockerd } from './support/daemons.ts';
import { attestedImage, smallImage } from './support/images.ts';
import { commandOf, trustAsPrinted } from './support/machine.ts';
import { type ConfiguredNode, type Node, nodeOf } from './support/node.ts';
import { binariesOf, whyMissing } from './support/programs.ts';
import { HUB_PASSWORD, HUB_USER, PASSWORD, REASON, startWorld, type World } from './support/world.ts';

const skip = await whyMissing('dockerd', 'containerd');
const withoutBuildctl = skip || (await whyMissing('buildkit'));
const EVERY = ['containerd store', 'classic store', 'of Debian'] as const;
const KITS = [['--strict'], []] as const;

let world: World;

before(async () => {
  if (skip !== false) return;
  world = await startWorld();
  const { docker, github } = world.hub;
  docker.push('library/alpine', 'latest', await attestedImage('alpine'));
  docker.push('library/ended', 'latest', await smallImage('ended'));
  docker.push('acme/secret', 'latest', await smallImage('secret'), { private: true });
  docker.push('hubuser/own', 'latest', await smallImage('own'));
  github.push('acme/tool', 'latest', await smallImage('tool'));
});

after(() => world?.[Symbol.asyncDispose]());

async function makeNode(name: string, which: Dockerd, ...flags: string[]): Promise<ConfiguredNode> {
  await using stack = new AsyncDisposableStack();
  const machine = stack.use(await world.machine(name));
  const kit = await world.kit(machine, 'dockerd', name, ...flags);
  await trustAsPrinted(machine, kit);
  const daemon = await startDockerd(machine, which);
  stack.move();
  return { ...nodeOf(machine, daemon), kit };
}

/** As on a machine that has nothing yet. */
async function forget(node: Node): Promise<void> {
  await node.mustRun('docker image ls -q | xargs -r docker rmi --force');
  await node.mustRun('docker system prune --all --force');
}

async function pull(node: Node, image: string): Promise<string> {
  await forget(node);
  return node.mustRun(`docker pull ${image}`);
}

const login = (node: Node, password: string) =>
  node.run('docker login mirror.corp -u ana --password-stdin', { stdin: password });

/** The attested image makes docker ask, and the mirror has to be the one that it asks. */
async function askedForReferrers(): Promise<boolean> {
  return (await world.pulls()).some(({ action, status }) => action === 'referrers' && status === 200);
}

for (const which of EVERY) {
  const docker = which === 'of Debian' ? 'docker of Debian' : `docker 29 with the ${which}`;
  const label = which
    .split(' ')
    .find((word) => word !== 'of')
    ?.toLowerCase();
  for (const flags of KITS) {
    const isStrict = flags.length > 0;
    const how = `${docker} and the ${isStrict ? 'strict ' : ''}kit`;
    const name = `node-${label}-${isStrict ? 'strict' : 'open'}`;

    test(`${how} pulls as its node, with the Hub up, blocked and down`, { skip }, async () => {
      await using node = await makeNode(name, which, ...flags);
      const [info = '', curl = '', check = ''] = node.kit.notes.check;
      const [asked = '', mirrors = ''] = info.split(/ {3}prints /);
      assert.equal((await node.mustRun(asked)).trim(), mirrors);
      assert.equal((await node.mustRun(commandOf(curl))).trim(), '200');
      await node.mustRun(check);
      if (which === 'containerd store') await waitFor(askedForReferrers);
      await world.assertMirrorOnly(node.kit.subject);
      {
        using _ = world.hubBlocked();
        await pull(node, 'alpine');
        await world.assertMirrorOnly(node.kit.subject);
      }
      using _ = world.hubDown();
      await world.pastFreshness();
      await pull(node, 'alpine');
      await world.assertMirrorOnly(node.kit.subject);
    });
  }

  test(`${docker} logs in with the right password alone, and the login counts for the mirror’s name`, {
    skip,
  }, async () => {
    await using node = await makeNode(`node-login-${label}`, which, '--strict');
    const wrong = await login(node, 'wrong');
    assert.notEqual(wrong.code, 0);
    assert.match(wrong.output, /incorrect username or password/);
    const right = await login(node, PASSWORD);
    assert.equal(right.code, 0, right.output);
    world.forgetPulls();
    await pull(node, 'mirror.corp/acme/secret');
    await node.mustRun('docker manifest inspect mirror.corp/library/alpine');
    await world.assertMirrorOnly('user:ana');
    assert.ok((await node.mustFail('docker pull mirror.corp/library/ended')).includes(REASON));
    world.forgetPulls();
    await pull(node, 'alpine');
    await world.assertMirrorOnly(node.kit.subject);
    await node.mustRun(`docker login -u ${HUB_USER} --password-stdin`, { stdin: HUB_PASSWORD });
    world.hub.direct.takeRequests();
    await pull(node, 'alpine');
    await world.assertMirrorOnly(node.kit.subject);
  });
}

test('with the containerd store a push fails and says why, by either kit', { skip }, async () => {
  for (const [name, ...flags] of [['node-push'], ['node-push-strict', '--strict']] as const) {
    await using node = await makeNode(name, 'containerd store', ...flags);
    await node.mustRun('docker pull hubuser/own');
    await node.mustRun(`docker login -u ${HUB_USER} --password-stdin`, { stdin: HUB_PASSWORD });
    await node.mustRun('docker tag hubuser/own hubuser/copy');
    world.hub.direct.takeRequests();
    assert.match(await node.mustFail('docker push hubuser/copy'), /this mirror serves pulls only/);
    assert.deepEqual(world.hub.direct.takeRequests(), []);
  }
});

test('with the classic store a push goes to the Hub', { skip }, async () => {
  await using node = await makeNode('node-push-classic', 'classic store', '--strict');
  await node.mustRun('docker pull hubuser/own');
  await node.mustRun(`docker login -u ${HUB_USER} --password-stdin`, { stdin: HUB_PASSWORD });
  await node.mustRun('docker tag hubuser/own hubuser/own:copy && docker push hubuser/own:copy');
  const asked = world.hub.direct.takeRequests();
  assert.ok(asked.includes('PUT registry-1.docker.io/v2/hubuser/own/manifests/copy'), asked.join('\n'));
});

test('what the mirror refuses fails with its reason where the kit is strict, and comes from the Hub elsewhere', {
  skip,
}, async () => {
  {
    await using node = await makeNode('node-refused', 'containerd store', '--strict');
    assert.ok((await node.mustFail('docker pull ended')).includes(REASON));
    // No rule names it.
    assert.match(await node.mustFail('docker pull acme/secret'), /denied/);
    assert.deepEqual(world.hub.direct.takeRequests(), []);
  }
  for (const which of ['containerd store', 'classic store'] as const) {
    await using node = await makeNode(`node-around-${which.replace(' store', '')}`, which);
    await node.mustRun('docker pull ended');
    assert.ok(world.hub.direct.takeRequests().length > 0);
  }
});

test('docker 29 prints that the certificate is revoked', { skip }, async () => {
  await using node = await makeNode('node-revoked', 'containerd store', '--strict');
  await node.mustRun('docker pull alpine');
  await world.hubgate.run('cert', 'revoke', 'node-revoked');
  await waitFor(async () => {
    await forget(node);
    return (await node.run('docker pull alpine')).code !== 0;
  });
  assert.match(await node.mustFail('docker pull alpine'), /certificate is revoked/);
  assert.deepEqual(world.hub.direct.takeRequests(), []);
});

test('what the table names asks the Hub itself, whatever is configured', { skip }, async () => {
  await using node = await makeNode('node-inspect', 'containerd store', '--strict');
  await node.mustRun('docker manifest inspect alpine');
  assert.ok(world.hub.direct.takeRequests().length > 0);
});

test('the BuildKit of docker 29 builds as its node', { skip: withoutBuildctl }, async () => {
  await using node = await makeNode('node-build', 'containerd store');
  using _ = world.hubBlocked();
  const context = path.join(node.machine.root, 'context');
  await mkdir(context);
  await writeFile(path.join(context, 'Dockerfile'), 'FROM alpine\nCOPY Dockerfile /\n');
  const files = `--local context=${context} --local dockerfile=${context}`;
  const options = '--frontend dockerfile.v0 --no-cache --opt image-resolve-mode=pull';
  const build = `buildctl --addr "$DOCKER_HOST" build ${options} ${files} --output type=oci,dest=/dev/null`;
  await node.mustRun(build, { programs: [binariesOf('buildkit')] });
  await world.assertMirrorOnly(node.kit.subject);
});
