import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf } from '../../support/image.ts';
import { ACCOUNT, TestCore } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

const image = imageOf();
const TAG = 'library/alpine/manifests/3.20';
const DIGEST = `library/alpine/manifests/${image.digest}`;

async function startHub(isLimited: boolean): Promise<FakeHub> {
  const hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', '3.20', image);
  hub.isLimited = isLimited;
  return hub;
}

function isManifestGet(method: string, path: string): boolean {
  return method === 'GET' && path.includes('/manifests/');
}

/** Returns the pulls that the answer says it has cost. */
async function pullsFor(core: TestCore, target: string, method = 'GET'): Promise<number> {
  return Number((await core.ask(target, { method })).headers['hubgate-counted-pulls'] ?? 0);
}

for (const isLimited of [true, false]) {
  const account = isLimited ? 'an account with a quota' : 'an account for which the Hub keeps no count';
  test(`every GET of a manifest that goes to the Hub is a pull of ${account}`, async () => {
    await using hub = await startHub(isLimited);
    await using core = await TestCore.start(hub);
    assert.equal(await pullsFor(core, TAG, 'HEAD'), 0);
    assert.equal(await pullsFor(core, TAG), 1);
    assert.equal(await pullsFor(core, DIGEST), 0);
    core.now += 61_000;
    assert.equal(await pullsFor(core, TAG), 0);
    hub.push('library/alpine', '3.20', imageOf({ size: 2000 }));
    core.now += 61_000;
    assert.equal(await pullsFor(core, TAG), 1);
    const sent = hub.log.filter(({ method, path }) => isManifestGet(method, path));
    assert.equal(sent.length, 2);
  });
}

test('a GET that the Hub turns away is no pull', async () => {
  await using hub = await startHub(false);
  await using core = await TestCore.start(hub);
  for (const status of [429, 401]) {
    hub.plant('registry', /^GET .*manifests/, { kind: 'status', status });
    assert.equal(await pullsFor(core, TAG), 0);
    hub.heal();
    core.now += 61_000;
  }
  assert.equal(await pullsFor(core, TAG), 1);
});

test('a pull that several clients share is charged to the one that began it', async () => {
  await using hub = await startHub(false);
  await using core = await TestCore.start(hub);
  const gate = Promise.withResolvers<void>();
  hub.plant('registry', /^GET .*manifests/, { kind: 'after', action: () => gate.promise });
  const asking = Array.from({ length: 8 }, () => core.open(TAG));
  await waitFor(() => hub.log.some(({ method, path }) => isManifestGet(method, path)));
  gate.resolve();
  const answers = await Promise.all(asking);
  await Promise.all(answers.map(text));
  const charged = answers.map(({ headers }) => Number(headers['hubgate-counted-pulls'] ?? 0));
  assert.deepEqual(charged.toSorted(), [0, 0, 0, 0, 0, 0, 0, 1]);
});
