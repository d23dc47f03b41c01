import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { waitFor } from '../support/wait-for.ts';
import { smallImage } from './support/images.ts';
import { type Machine, trustAsPrinted } from './support/machine.ts';
import { type Node, nodeOf, withoutDaemon } from './support/node.ts';
import { binariesOf, whyMissing } from './support/programs.ts';
import { HUB_PASSWORD, HUB_USER, PASSWORD, startWorld, type World } from './support/world.ts';

const skip = await whyMissing('cosign', 'crane');
const withoutCosign2 = skip || (await whyMissing('cosign2'));

/** How a signature is made and kept. */
interface Form {
  readonly tool: 'cosign' | 'cosign2';
  readonly skip: string | false;
  readonly sign: string;
  readonly verify: string;
}

const OLD_FORMAT = ' --new-bundle-format=false';
const FORMS: Readonly<Record<string, Form>> = {
  'cosign3-bundle': { tool: 'cosign', skip, sign: ' --use-signing-config=false', verify: '' },
  'cosign3-tag': {
    tool: 'cosign',
    skip,
    sign: ` --use-signing-config=false${OLD_FORMAT}`,
    verify: OLD_FORMAT,
  },
  'cosign2-tag': { tool: 'cosign2', skip: withoutCosign2, sign: '', verify: '' },
  'cosign2-referrer': {
    tool: 'cosign2',
    skip: withoutCosign2,
    sign: ' --registry-referrers-mode=oci-1-1',
    verify: ' --experimental-oci11',
  },
};
const REGISTRIES = { 'docker.io/hubuser': 'with', 'ghcr.io/acme': 'without' } as const;

let world: World;
let node: Node;

before(async () => {
  if (skip !== false) return;
  world = await startWorld();
  node = signer(await world.machine('signer'));
  await run('cosign', 'cosign generate-key-pair');
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
    hub.push(`${owner}/unsigned`, 'v1', await smallImage('unsigned'));
    for (const [name, form] of Object.entries(FORMS)) {
      if (form.skip !== false) continue;
      const image = await smallImage(name);
      hub.push(`${owner}/${name}`, 'v1', image);
      const flags = `--key cosign.key --yes --tlog-upload=false${form.sign}`;
      await run(form.tool, `cosign sign ${flags} ${registry}/${name}@${image.digest}`);
    }
  }
});

after(async () => {
  await node?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

function signer(machine: Machine): Node {
  // cosign 2 needs the second variable for referrers.
  const env = { COSIGN_PASSWORD: '', COSIGN_EXPERIMENTAL: '1' };
  return nodeOf(machine, withoutDaemon([binariesOf('crane')], env));
}

/** Both versions have one name. @returns the output. */
function run(tool: Form['tool'], line: string): Promise<string> {
  return node.mustRun(`cd "$HOME" && ${line}`, { programs: [binariesOf(tool)] });
}

function fail(tool: Form['tool'], line: string): Promise<string> {
  return node.mustFail(`cd "$HOME" && ${line}`, { programs: [binariesOf(tool)] });
}

function verify(repository: string, form: Form): string {
  const flags = `--key cosign.pub --insecure-ignore-tlog=true${form.verify}`;
  return `cosign verify ${flags} mirror.corp/${repository}:v1`;
}

for (const [owner, endpoint] of Object.entries(REGISTRIES)) {
  for (const [name, form] of Object.entries(FORMS)) {
    test(`${name} of a registry ${endpoint} an endpoint for referrers is verified, with the Hub up and down`, {
      skip: form.skip,
    }, async () => {
      world.hub.direct.takeRequests();
      world.forgetPulls();
      await run(form.tool, verify(`${owner}/${name}`, form));
      using _ = world.hubDown();
      await world.pastFreshness();
      await run(form.tool, verify(`${owner}/${name}`, form));
      await world.assertMirrorOnly('user:ana');
    });

    test(`${name}: an image of a registry ${endpoint} an endpoint for referrers that was never signed stays "not signed"`, {
      skip: form.skip,
    }, async () => {
      const unsigned = /no signatures found/;
      world.hub.direct.takeRequests();
      assert.match(await fail(form.tool, verify(`${owner}/unsigned`, form)), unsigned);
      using _ = world.hubDown();
      await world.pastFreshness();
      assert.match(await fail(form.tool, verify(`${owner}/unsigned`, form)), unsigned);
      assert.deepEqual(world.hub.direct.takeRequests(), []);
    });
  }
}

test('cosign prints that the mirror takes no signatures', { skip }, async () => {
  const flags = '--key cosign.key --yes --use-signing-config=false --tlog-upload=false';
  const sign = `cosign sign ${flags} mirror.corp/hubuser/unsigned:v1`;
  // The registry was down in the test before, and is left alone until a probe finds that it is back.
  let said = '';
  await waitFor(async () => {
    said = await fail('cosign', sign);
    return !said.includes('502 Bad Gateway');
  });
  assert.match(said, /this mirror serves pulls only/);
});
