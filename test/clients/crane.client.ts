import assert from 'node:assert/strict';
import { copyFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { ManifestMediaType } from '../../src/registry/media-type.ts';
import { imageOf, manifestOf } from '../support/image.ts';
import { attestedImage, smallImage } from './support/images.ts';
import { type Machine, type PrintedKit, trustAsPrinted } from './support/machine.ts';
import { binariesOf, whyMissing } from './support/programs.ts';
import { PASSWORD, REASON, startWorld, type World } from './support/world.ts';

const skip = await whyMissing('crane');
const ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json';

let world: World;
let digest: string;

before(async () => {
  if (skip !== false) return;
  world = await startWorld();
  const { docker, github } = world.hub;
  const alpine = await attestedImage('alpine');
  digest = alpine.digest;
  docker.push('library/alpine', 'latest', alpine);
  docker.push('library/ended', 'latest', await smallImage('ended'));
  docker.push('acme/secret', 'latest', await smallImage('secret'), { private: true });
  github.push('acme/tool', 'latest', await smallImage('tool'));
  // Its type is none of those that are mirrored.
  const artifact = manifestOf({ mediaType: ARTIFACT, blobs: [] }, ARTIFACT as ManifestMediaType);
  docker.push('library/artifact', 'latest', { ...imageOf(), ...artifact, manifests: [artifact] });
});

after(() => world?.[Symbol.asyncDispose]());

const programs = [binariesOf('crane')];
const crane = (machine: Machine, line: string, stdin = '') => machine.shell(line, { programs, stdin });

/** The check of the kit, as it is printed; only the password is added. */
async function assertChecks(machine: Machine, kit: PrintedKit): Promise<void> {
  for (const line of kit.notes.check.filter((one) => one.startsWith('crane '))) {
    const [command = '', expected = ''] = line.split(/ {3}prints /);
    const { code, output } = await crane(machine, command, PASSWORD);
    assert.equal(code, 0, output);
    assert.ok(output.includes(expected === 'sha256:…' ? digest : expected), output);
  }
}

test('crane pulls as the person of its kit, whose check works as printed', { skip }, async () => {
  await using machine = await world.machine('person');
  const kit = await world.kit(machine, 'crane', 'ana');
  await trustAsPrinted(machine, kit);
  await assertChecks(machine, kit);
  await world.assertMirrorOnly('user:ana');
  for (const line of [
    'crane manifest mirror.corp/library/alpine@$DIGEST',
    'crane config mirror.corp/library/alpine',
    'crane ls mirror.corp/library/alpine',
    'crane pull mirror.corp/library/alpine "$HOME/alpine.tar"',
    'crane pull --format oci mirror.corp/acme/secret "$HOME/secret"',
    'crane digest mirror.corp/ghcr.io/acme/tool',
  ]) {
    const { code, output } = await crane(machine, line.replace('$DIGEST', digest));
    assert.equal(code, 0, `${line}: ${output}`);
  }
  await world.assertMirrorOnly('user:ana');
});

test('crane pulls as the service account of its kit', { skip }, async () => {
  await using machine = await world.machine('service');
  await world.hubgate.run('user', 'add', 'ci', '--service');
  const kit = await world.kit(machine, 'crane', 'ci');
  const [login] = kit.files.filter(({ path }) => path === 'config.json');
  await mkdir(path.join(machine.env.HOME ?? '', '.docker'), { recursive: true });
  await copyFile(login?.written ?? '', path.join(machine.env.HOME ?? '', '.docker/config.json'));
  await trustAsPrinted(machine, kit);
  await assertChecks(machine, kit);
  await world.assertMirrorOnly('service:ci');
});

test('crane prints why it gets nothing', { skip }, async () => {
  await using machine = await world.machine('refused');
  const kit = await world.kit(machine, 'crane', 'ana');
  await trustAsPrinted(machine, kit);
  const login = (password: string) =>
    crane(machine, 'crane auth login mirror.corp -u ana --password-stdin', password);
  await login('wrong');
  const byWrong = await crane(machine, 'crane digest mirror.corp/library/alpine');
  assert.notEqual(byWrong.code, 0);
  assert.match(byWrong.output, /UNAUTHORIZED/);
  await login(PASSWORD);
  for (const [line, expected] of [
    ['crane manifest mirror.corp/library/ended', REASON],
    ['crane manifest mirror.corp/library/nowhere', 'manifest unknown'],
    ['crane manifest mirror.corp/library/artifact', `manifests of type ${ARTIFACT} are not mirrored`],
    ['crane copy mirror.corp/library/alpine mirror.corp/library/copy', 'this mirror serves pulls only'],
  ] as const) {
    const { code, output } = await crane(machine, line);
    assert.notEqual(code, 0, line);
    assert.ok(output.includes(expected), `${line}: ${output}`);
  }
  assert.deepEqual(world.hub.direct.takeRequests(), []);
});
