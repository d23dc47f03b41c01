import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { attestedImage, smallImage } from './support/images.ts';
import { commandOf } from './support/machine.ts';
import { type ConfiguredNode, nodeOf, withoutDaemon } from './support/node.ts';
import { PASSWORD, REASON, startWorld, type World } from './support/world.ts';

let world: World;

before(async () => {
  world = await startWorld();
  const { docker, github } = world.hub;
  docker.push('library/alpine', 'latest', await attestedImage('alpine'));
  docker.push('library/ended', 'latest', await smallImage('ended'));
  docker.push('acme/secret', 'latest', await smallImage('secret'), { private: true });
  github.push('acme/tool', 'latest', await smallImage('tool'));
});

after(() => world?.[Symbol.asyncDispose]());

/** The storage is named by the environment, so that commands run as they are printed. */
async function makeNode(client: string, name: string, ...flags: string[]): Promise<ConfiguredNode> {
  const machine = await world.machine(name);
  const at = (part: string) => path.join(machine.root, part);
  const storage = `[storage]\ndriver = "vfs"\ngraphroot = "${at('storage')}"\nrunroot = "${at('run')}"\n`;
  await writeFile(at('storage.conf'), storage);
  await writeFile(at('auth.json'), '{}');
  const kit = await world.kit(machine, client, name, ...flags);
  const env = { CONTAINERS_STORAGE_CONF: at('storage.conf'), REGISTRY_AUTH_FILE: at('auth.json') };
  return { ...nodeOf(machine, withoutDaemon([], env)), kit };
}

const PULLS = {
  podman: [
    'podman pull docker.io/library/alpine',
    'podman pull alpine',
    'podman pull ghcr.io/acme/tool',
    'podman manifest inspect docker.io/library/alpine',
  ],
  skopeo: [
    'skopeo inspect --no-tags docker://docker.io/library/alpine',
    'skopeo --insecure-policy copy docker://alpine "dir:$HOME/copied"',
    'skopeo --insecure-policy copy docker://ghcr.io/acme/tool "dir:$HOME/tool"',
  ],
} as const;

/** What the documentation says of lists of tags, and the same by the mirror’s name. */
const LISTS = {
  podman: [
    'podman search --list-tags docker.io/library/alpine',
    'podman search --list-tags mirror.corp/docker.io/library/alpine',
  ],
  skopeo: [
    'skopeo list-tags docker://docker.io/library/alpine',
    'skopeo list-tags docker://mirror.corp/docker.io/library/alpine',
  ],
} as const;

for (const client of ['podman', 'skopeo'] as const) {
  for (const flags of [[], ['--strict']]) {
    const how = flags.length === 0 ? 'the kit' : 'the strict kit';
    const name = `node-${client}${flags.length === 0 ? '' : '-strict'}`;

    test(`${client} pulls by ${how} as its node, with the Hub up, blocked and down`, async () => {
      await using node = await makeNode(client, name, ...flags);
      const pullAll = async () => {
        if (client === 'podman') await node.mustRun('podman rmi --all --force');
        for (const line of PULLS[client]) await node.mustRun(line);
        await world.assertMirrorOnly(node.kit.subject);
      };
      const [curl = '', ...checks] = node.kit.notes.check.slice(0, -1).map(commandOf);
      assert.equal((await node.mustRun(curl)).trim(), '200');
      for (const line of checks) await node.mustRun(line);
      await pullAll();
      {
        using _ = world.hubBlocked();
        await pullAll();
      }
      using _ = world.hubDown();
      await world.pastFreshness();
      await pullAll();
    });
  }

  test(`${client} prints why it gets nothing by the strict kit, and goes to the Hub by the other`, async () => {
    const line =
      client === 'podman'
        ? 'podman pull docker.io/library/ended'
        : 'skopeo inspect --no-tags docker://docker.io/library/ended';
    await using node = await makeNode(client, `node-refused-${client}`, '--strict');
    assert.ok((await node.mustFail(line)).includes(REASON));
    assert.deepEqual(world.hub.direct.takeRequests(), []);
    await using other = await makeNode(client, `node-around-${client}`);
    await other.mustRun(line);
    assert.ok(world.hub.direct.takeRequests().length > 0);
  });

  test(`${client} logs in with the right password alone, and the login counts before the certificate`, async () => {
    await using node = await makeNode(client, `node-login-${client}`, '--strict');
    const login = (password: string) => `${client} login -u ana -p ${password} mirror.corp`;
    await node.mustFail(login('wrong'));
    await node.mustRun(login(PASSWORD));
    world.forgetPulls();
    await node.mustRun('skopeo inspect --no-tags docker://mirror.corp/acme/secret');
    await world.assertMirrorOnly('user:ana');
  });

  test(`${client} asks the Hub for lists of tags, and the mirror by its name`, async () => {
    await using node = await makeNode(client, `node-tags-${client}`, '--strict');
    const [atHub, atMirror] = LISTS[client];
    await node.mustRun(atHub);
    assert.ok(
      world.hub.direct.takeRequests().includes('GET registry-1.docker.io/v2/library/alpine/tags/list'),
    );
    assert.match(await node.mustRun(atMirror), /latest/);
    assert.deepEqual(world.hub.direct.takeRequests(), []);
  });
}
