import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { smallImage } from './support/images.ts';
import { type Machine, trustAsPrinted } from './support/machine.ts';
import { type Node, nodeOf, withoutDaemon } from './support/node.ts';
import { binariesOf, whyMissing } from './support/programs.ts';
import { HUB_PASSWORD, HUB_USER, PASSWORD, startWorld, type World } from './support/world.ts';

const skip = await whyMissing('cosign', 'crane');

/** How a signature is kept: as a referrer, or under a tag as cosign 2 does. */
const FORMS = { bundle: '', tag: ' --new-bundle-format=false' } as const;
const REGISTRIES = { 'docker.io/hubuser': 'with', 'ghcr.io/acme': 'without' } as const;

let world: World;
let node: Node;

before(async () => {
  if (skip !== false) return;
  world = await startWorld();
  node = signer(await world.machine('signer'));
  await node.mustRun('cd "$HOME" && cosign generate-key-pair');
  const login = (registry: string, user: string) =>
    `crane auth login ${registry} -u ${user} --password-stdin`;
  await node.mustRun(login('index.docker.io', HUB_USER), { stdin: HUB_PASSWORD });
  await node.mustRun(login('mirror.corp', 'ana'), { stdin: PASSWORD });
  await trustAsPrinted(node.machine, await world.kit(node.machine, 'crane', 'ana'));
  const { docker, github } = world.hub;
  for (const [hub, owner, registry] of [
    [docker, 'hubuser', 'docker.io/hubuser'],
    [github, 'acme', 'ghcr.io/acme'],
  ] as const) {
    for (const name of ['bundle', 'tag', 'unsigned']) {
      const image = await smallImage(name);
      hub.push(`${owner}/${name}`, 'v1', image);
      if (name === 'unsigned') continue;
      const flags = `--key cosign.key --yes --use-signing-config=false --tlog-upload=false${FORMS[name as 'tag']}`;
      await node.mustRun(`cd "$HOME" && cosign sign ${flags} ${registry}/${name}@${image.digest}`);
    }
  }
});

after(async () => {
  await node?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

function signer(machine: Machine): Node {
  const programs = [binariesOf('cosign'), binariesOf('crane')];
  return nodeOf(machine, withoutDaemon(programs, { COSIGN_PASSWORD: '' }));
}

function verify(repository: string, form: keyof typeof FORMS): string {
  const flags = `--key cosign.pub --insecure-ignore-tlog=true${FORMS[form]}`;
  return `cd "$HOME" && cosign verify ${flags} mirror.corp/${repository}:v1`;
}

for (const [owner, endpoint] of Object.entries(REGISTRIES)) {
  for (const form of ['bundle', 'tag'] as const) {
    test(`cosign verifies a ${form} of a registry ${endpoint} an endpoint for referrers, with the Hub up and down`, {
      skip,
    }, async () => {
      world.hub.direct.takeRequests();
      world.forgetPulls();
      await node.mustRun(verify(`${owner}/${form}`, form));
      using _ = world.hubDown();
      await world.pastFreshness();
      await node.mustRun(verify(`${owner}/${form}`, form));
      await world.assertMirrorOnly('user:ana');
    });
  }

  test(`an image of a registry ${endpoint} an endpoint for referrers that was never signed stays "not signed"`, {
    skip,
  }, async () => {
    const unsigned = /no signatures found/;
    for (const form of ['bundle', 'tag'] as const)
      assert.match(await node.mustFail(verify(`${owner}/unsigned`, form)), unsigned);
    using _ = world.hubDown();
    await world.pastFreshness();
    for (const form of ['bundle', 'tag'] as const)
      assert.match(await node.mustFail(verify(`${owner}/unsigned`, form)), unsigned);
    assert.deepEqual(world.hub.direct.takeRequests(), []);
  });
}

test('cosign prints that the mirror takes no signatures', { skip }, async () => {
  const flags = '--key cosign.key --yes --use-signing-config=false --tlog-upload=false';
  const sign = `cd "$HOME" && cosign sign ${flags} mirror.corp/hubuser/unsigned:v1`;
  assert.match(await node.mustFail(sign), /this mirror serves pulls only/);
});
