import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { attestedImage, smallImage } from './support/images.ts';
import type { Machine, PrintedKit } from './support/machine.ts';
import { binariesOf, whyMissing } from './support/programs.ts';
import { PASSWORD, REASON, startWorld, type World } from './support/world.ts';

const skip = await whyMissing('regctl');

let world: World;
let digest: string;

before(async () => {
  if (skip !== false) return;
  world = await startWorld();
  const { docker } = world.hub;
  const alpine = await attestedImage('alpine');
  digest = alpine.digest;
  docker.push('library/alpine', 'latest', alpine);
  docker.push('library/ended', 'latest', await smallImage('ended'));
});

after(() => world?.[Symbol.asyncDispose]());

const regctl = (machine: Machine, line: string, stdin = '') =>
  machine.shell(line, { programs: [binariesOf('regctl')], stdin });

/** Does what the kit says. It asks for the password on a terminal. */
async function configure(machine: Machine, kit: PrintedKit): Promise<void> {
  for (const line of kit.notes.merge.filter((one) => one.startsWith('  regctl '))) {
    const onTerminal = line.includes('login')
      ? `script --quiet --return --command '${line}' /dev/null`
      : line;
    const { code, output } = await regctl(machine, onTerminal, `${PASSWORD}\n`);
    assert.equal(code, 0, `${line}: ${output}`);
  }
}

test('regctl pulls as the person of its kit, and asks nobody but the mirror', { skip }, async () => {
  await using machine = await world.machine('person');
  const kit = await world.kit(machine, 'regctl', 'ana');
  await configure(machine, kit);
  assert.deepEqual(world.hub.direct.takeRequests(), []);
  const [check = ''] = kit.notes.check;
  const [command = '', expected = ''] = check.split(/ {3}prints /);
  assert.equal(expected, 'sha256:…');
  const { code, output } = await regctl(machine, command);
  assert.equal(code, 0, output);
  assert.equal(output.trim(), digest);
  await world.assertMirrorOnly('user:ana');
});

test('regctl goes by its mirror while the Hub is blocked or down', { skip }, async () => {
  await using machine = await world.machine('blocked');
  const kit = await world.kit(machine, 'regctl', 'ana');
  await configure(machine, kit);
  const pullAll = async () => {
    for (const line of [
      'regctl image digest alpine',
      'regctl image copy alpine ocidir://$HOME/alpine',
      'regctl image inspect alpine',
    ]) {
      const { code, output } = await regctl(machine, line);
      assert.equal(code, 0, `${line}: ${output}`);
    }
    await world.assertMirrorOnly('user:ana');
  };
  {
    using _ = world.hubBlocked();
    await pullAll();
  }
  using _ = world.hubDown();
  await world.pastFreshness();
  await pullAll();
});

test('regctl goes to the Hub when the mirror refuses, and by the mirror’s name it prints why', {
  skip,
}, async () => {
  await using machine = await world.machine('refused');
  const kit = await world.kit(machine, 'regctl', 'ana');
  await configure(machine, kit);
  const login = (password: string) =>
    regctl(machine, 'regctl registry login mirror.corp -u ana --pass-stdin', password);
  const wrong = await login('wrong');
  assert.notEqual(wrong.code, 0);
  assert.match(wrong.output, /credentials were still stored/);
  assert.notEqual((await regctl(machine, 'regctl image digest mirror.corp/library/alpine')).code, 0);
  assert.equal((await login(PASSWORD)).code, 0);
  const around = await regctl(machine, 'regctl image digest ended');
  assert.equal(around.code, 0, around.output);
  assert.ok(world.hub.direct.takeRequests().length > 0);
  const refused = await regctl(machine, 'regctl manifest get mirror.corp/library/ended');
  assert.notEqual(refused.code, 0);
  assert.ok(refused.output.includes(REASON), refused.output);
  assert.deepEqual(world.hub.direct.takeRequests(), []);
});

test('regctl pulls as the service account of its kit', { skip }, async () => {
  await using machine = await world.machine('service');
  await world.hubgate.run('user', 'add', 'ci', '--service');
  const kit = await world.kit(machine, 'regctl', 'ci');
  const token = kit.files.find((file) => file.path === 'hubgate-token')?.written ?? '';
  const home = machine.env.HOME ?? '';
  await copyFile(token, path.join(home, 'hubgate-token'));
  for (const line of kit.notes.merge.filter((one) => one.startsWith('  regctl '))) {
    const { code, output } = await regctl(machine, `cd "$HOME" && ${line}`);
    assert.equal(code, 0, `${line}: ${output}`);
  }
  const { code, output } = await regctl(machine, 'regctl image digest alpine');
  assert.equal(code, 0, output);
  await world.assertMirrorOnly('service:ci');
});
