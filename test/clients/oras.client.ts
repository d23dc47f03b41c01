import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { referrerOf } from '../support/image.ts';
import { indexOfReferrers, pushReferrer, smallImage } from './support/images.ts';
import { type Machine, trustAsPrinted } from './support/machine.ts';
import { binariesOf, whyMissing } from './support/programs.ts';
import { PASSWORD, REASON, startWorld, type World } from './support/world.ts';

const skip = await whyMissing('oras');
const TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

let world: World;

before(async () => {
  if (skip !== false) return;
  world = await startWorld();
  const { docker, github } = world.hub;
  docker.referrersPerPage = 1;
  for (const name of ['signed', 'kept', 'plain']) {
    const image = await smallImage(name);
    docker.push(`library/${name}`, 'latest', image);
    if (name === 'plain') continue;
    for (const referrer of ['signature', 'sbom'])
      pushReferrer(docker, `library/${name}`, referrerOf(image, referrer));
  }
  docker.push('library/ended', 'latest', await smallImage('ended'));
  // A registry without the endpoint has them under a tag.
  const tool = await smallImage('tool');
  const signature = referrerOf(tool, 'signature');
  github.push('acme/tool', 'latest', tool);
  pushReferrer(github, 'acme/tool', signature);
  github.push('acme/tool', tool.digest.replace(':', '-'), indexOfReferrers([signature]));
});

after(() => world?.[Symbol.asyncDispose]());

const oras = (machine: Machine, line: string, stdin = '') =>
  machine.shell(line, { programs: [binariesOf('oras')], stdin });

async function loggedIn(name: string): Promise<Machine> {
  const machine = await world.machine(name);
  await trustAsPrinted(machine, await world.kit(machine, 'crane', 'ana'));
  const login = 'oras login mirror.corp -u ana --password-stdin';
  const wrong = await oras(machine, login, 'wrong');
  assert.notEqual(wrong.code, 0, wrong.output);
  const right = await oras(machine, login, PASSWORD);
  assert.equal(right.code, 0, right.output);
  return machine;
}

/** The names of the artifacts that refer to an image. */
async function discover(machine: Machine, image: string): Promise<string[]> {
  const { code, output } = await oras(machine, `oras discover --format json mirror.corp/${image}:latest`);
  assert.equal(code, 0, output);
  const { referrers = [], manifests = referrers } = JSON.parse(output);
  return manifests.map(({ annotations }: { annotations: { name: string } }) => annotations.name).toSorted();
}

test('oras logs in with the right password alone, and copies an image with what refers to it', {
  skip,
}, async () => {
  await using machine = await loggedIn('copy');
  for (const line of [
    'oras copy -r mirror.corp/library/signed:latest --to-oci-layout "$HOME/copied:latest"',
    'oras manifest fetch mirror.corp/library/signed:latest',
    'oras repo tags mirror.corp/library/signed',
    `oras discover --artifact-type ${TYPE} mirror.corp/library/signed:latest`,
  ]) {
    const { code, output } = await oras(machine, line);
    assert.equal(code, 0, `${line}: ${output}`);
  }
  await world.assertMirrorOnly('user:ana');
  const refused = await oras(machine, 'oras manifest fetch mirror.corp/library/ended:latest');
  assert.notEqual(refused.code, 0);
  assert.ok(refused.output.includes(REASON), refused.output);
});

test('oras finds every referrer, also of a registry that has no endpoint for them', { skip }, async () => {
  await using machine = await loggedIn('discover');
  assert.deepEqual(await discover(machine, 'library/signed'), ['sbom', 'signature']);
  assert.deepEqual(await discover(machine, 'ghcr.io/acme/tool'), ['signature']);
  assert.deepEqual(await discover(machine, 'library/plain'), []);
  await world.assertMirrorOnly('user:ana');
});

test('oras finds the same referrers while the Hub is down', { skip }, async () => {
  await using machine = await loggedIn('down');
  const images = ['library/kept', 'library/plain', 'ghcr.io/acme/tool'];
  const found = () => Promise.all(images.map((image) => discover(machine, image)));
  const before = await found();
  using _ = world.hubDown();
  await world.pastFreshness();
  assert.deepEqual(await found(), before);
});
