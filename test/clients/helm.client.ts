import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { smallImage } from './support/images.ts';
import { trustAsPrinted } from './support/machine.ts';
import { type Node, nodeOf, withoutDaemon } from './support/node.ts';
import { binariesOf, whyMissing } from './support/programs.ts';
import { HUB_PASSWORD, HUB_USER, PASSWORD, startWorld, type World } from './support/world.ts';

const skip = await whyMissing('helm');
const PULL =
  'cd "$HOME" && mkdir -p pulled && helm pull -d pulled oci://mirror.corp/hubuser/chart --version 0.1.0';

let world: World;

before(async () => {
  if (skip !== false) return;
  world = await startWorld();
  world.hub.docker.push('hubuser/chart', 'other', await smallImage('chart'));
});

after(() => world?.[Symbol.asyncDispose]());

const login = (registry: string, user: string) =>
  `helm registry login ${registry} -u ${user} --password-stdin`;

async function makeNode(name: string): Promise<Node> {
  const machine = await world.machine(name);
  const kit = await world.kit(machine, 'crane', 'ana');
  await trustAsPrinted(machine, kit);
  return nodeOf(machine, withoutDaemon([binariesOf('helm')]));
}

test('helm pulls a chart by a login, with the Hub up and down, and pushes none', { skip }, async () => {
  await using node = await makeNode('helm');
  await node.mustRun('cd "$HOME" && helm create chart && helm package chart');
  await node.mustRun(login('registry-1.docker.io', HUB_USER), { stdin: HUB_PASSWORD });
  const push = (registry: string) => `cd "$HOME" && helm push chart-0.1.0.tgz oci://${registry}/hubuser`;
  await node.mustRun(push('registry-1.docker.io'));
  world.hub.direct.takeRequests();

  await node.mustFail(PULL);
  await node.mustFail(login('mirror.corp', 'ana'), { stdin: 'wrong' });
  await node.mustRun(login('mirror.corp', 'ana'), { stdin: PASSWORD });
  assert.match(await node.mustFail(push('mirror.corp')), /this mirror serves pulls only/);
  world.forgetPulls();
  await node.mustRun(PULL);
  await world.assertMirrorOnly('user:ana');
  using _ = world.hubDown();
  await world.pastFreshness();
  await node.mustRun(PULL);
  await node.mustRun('helm show chart oci://mirror.corp/hubuser/chart --version 0.1.0');
  await world.assertMirrorOnly('user:ana');
});
