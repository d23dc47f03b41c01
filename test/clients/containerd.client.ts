import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { waitFor } from '../support/wait-for.ts';
import { startContainerdWith } from './support/daemons.ts';
import { attestedImage, smallImage } from './support/images.ts';
import { commandOf } from './support/machine.ts';
import { type ConfiguredNode, type Node, nodeOf } from './support/node.ts';
import { whyMissing } from './support/programs.ts';
import { HUB_PASSWORD, HUB_USER, PASSWORD, REASON, startWorld, type World } from './support/world.ts';

const skip = await whyMissing('containerd', 'crictl');
const HOSTS = '--hosts-dir /etc/containerd/certs.d';

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

async function makeNode(name: string, ...flags: string[]): Promise<ConfiguredNode> {
  await using stack = new AsyncDisposableStack();
  const machine = stack.use(await world.machine(name));
  const kit = await world.kit(machine, 'containerd', name, ...flags);
  const daemon = await startContainerdWith(machine, kit);
  stack.move();
  return { ...nodeOf(machine, daemon), kit };
}

/** As on a node that has nothing yet. */
async function forget(node: Node): Promise<void> {
  const images = 'ctr -n $N images ls -q | xargs -r ctr -n $N images rm --sync';
  await node.mustRun(
    `for N in default k8s.io; do ${images} >/dev/null && ctr -n $N content prune references; done`,
  );
}

const PULLS = [
  'crictl pull docker.io/library/alpine',
  `ctr images pull ${HOSTS} docker.io/library/alpine:latest`,
  `ctr images pull ${HOSTS} --local docker.io/library/alpine:latest`,
  `ctr images pull ${HOSTS} ghcr.io/acme/tool:latest`,
];

for (const flags of [[], ['--strict']]) {
  const how = flags.length === 0 ? 'the kit' : 'the strict kit';

  test(`containerd pulls by ${how} as its node, with the Hub up, blocked and down`, { skip }, async () => {
    await using node = await makeNode(flags.length === 0 ? 'node-open' : 'node-strict', ...flags);
    const pullAll = async () => {
      for (const line of PULLS) {
        await forget(node);
        await node.mustRun(line);
      }
      await world.assertMirrorOnly(node.kit.subject);
    };
    const [curl = '', ...checks] = node.kit.notes.check.map(commandOf);
    assert.equal((await node.mustRun(curl)).trim(), '200');
    for (const line of checks.slice(0, -1)) await node.mustRun(line);
    await world.assertMirrorOnly(node.kit.subject);
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

test('names that begin with the mirror’s go by the login, and the others by the certificate', {
  skip,
}, async () => {
  await using node = await makeNode('node-login', '--strict');
  const image = 'mirror.corp/acme/secret:latest';
  await node.mustFail(`crictl pull ${image}`);
  for (const pull of [
    (login: string) => `crictl pull --creds ${login} ${image}`,
    (login: string) => `ctr images pull ${HOSTS} --user ${login} ${image}`,
  ]) {
    await node.mustFail(pull('ana:wrong'));
    await node.mustRun(pull(`ana:${PASSWORD}`));
    await forget(node);
  }
  const pulls = await world.pulls();
  assert.ok(pulls.some(({ subject, status }) => subject === 'user:ana' && status === 200));
  assert.ok(!pulls.some(({ subject }) => subject === node.kit.subject));
  world.forgetPulls();
  await node.mustRun(`crictl pull --creds ${HUB_USER}:${HUB_PASSWORD} docker.io/library/alpine`);
  await world.assertMirrorOnly(node.kit.subject);
});

test('what the mirror refuses fails with its reason by the strict kit, and comes from the Hub by the other', {
  skip,
}, async () => {
  {
    await using node = await makeNode('node-refused', '--strict');
    for (const line of [
      'crictl pull docker.io/library/ended',
      `ctr images pull ${HOSTS} docker.io/library/ended:latest`,
    ])
      assert.ok((await node.mustFail(line)).includes(REASON), line);
    // No rule names it.
    assert.match(await node.mustFail('crictl pull docker.io/acme/secret'), /denied/);
    assert.deepEqual(world.hub.direct.takeRequests(), []);
  }
  await using node = await makeNode('node-around');
  await node.mustRun('crictl pull docker.io/library/ended');
  assert.ok(world.hub.direct.takeRequests().length > 0);
});

test('a push fails and says why, by either kit', { skip }, async () => {
  for (const [name, ...flags] of [['node-push'], ['node-push-strict', '--strict']] as const) {
    await using node = await makeNode(name, ...flags);
    await node.mustRun(`ctr images pull ${HOSTS} docker.io/hubuser/own:latest`);
    const copy = 'docker.io/hubuser/copy:latest';
    await node.mustRun(`ctr images tag docker.io/hubuser/own:latest ${copy}`);
    const push = `ctr images push ${HOSTS} --user ${HUB_USER}:${HUB_PASSWORD} ${copy}`;
    assert.match(await node.mustFail(push), /this mirror serves pulls only/);
    assert.deepEqual(world.hub.direct.takeRequests(), []);
  }
});

test('a revoked certificate is reported as revoked by the strict kit', { skip }, async () => {
  await using node = await makeNode('node-revoked', '--strict');
  const pull = `ctr images pull ${HOSTS} docker.io/library/alpine:latest`;
  await node.mustRun(pull);
  await world.hubgate.run('cert', 'revoke', 'node-revoked');
  await waitFor(async () => {
    await forget(node);
    return (await node.run(pull)).code !== 0;
  });
  assert.match(await node.mustFail(pull), /certificate is revoked/);
  assert.match(await node.mustFail('crictl pull docker.io/library/alpine'), /certificate is revoked/);
  const [curl = ''] = node.kit.notes.check.map(commandOf);
  assert.equal((await node.mustRun(curl)).trim(), '401');
  assert.deepEqual(world.hub.direct.takeRequests(), []);
});

test('pods pull by the secret of the kubernetes kit, which names their service account', {
  skip,
}, async () => {
  await using node = await makeNode('node-pods', '--strict');
  await world.hubgate.run('user', 'add', 'pods', '--service');
  // Its other file, the CA, is on the node already.
  const kit = await world.writtenKit('kubernetes', 'pods');
  const manifest = kit.files.find(({ path }) => path.endsWith('.yaml'))?.written ?? '';
  const [, encoded = ''] = /\.dockerconfigjson: (\S+)/.exec(await readFile(manifest, 'utf8')) ?? [];
  const { auths } = JSON.parse(Buffer.from(encoded, 'base64').toString());
  const image = 'mirror.corp/docker.io/library/alpine';
  assert.ok(kit.notes.merge.some((line) => line.includes(image)));
  world.forgetPulls();
  await node.mustRun(`crictl pull --auth ${auths['mirror.corp'].auth} ${image}`);
  await world.assertMirrorOnly('service:pods');
});
