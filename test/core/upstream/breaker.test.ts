import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf } from '../../support/image.ts';
import { ACCOUNT, SHORT_LIMITS, TestCore } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';
import { waitFor } from '../../support/wait-for.ts';

const ALPINE = 'library/alpine/manifests/latest';
const BUSYBOX = 'library/busybox/manifests/latest';
const PATIENCE = { connect: 60_000, headers: 60_000, question: 60_000 };

let hub: FakeHub;
let core: TestCore;
let log: LoggedLine[];

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', 'latest', imageOf());
  hub.push('library/busybox', 'latest', imageOf());
  log = [];
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

async function start(limits: Partial<typeof SHORT_LIMITS>): Promise<void> {
  core = await TestCore.start(hub, { limits: { ...SHORT_LIMITS, ...limits }, log: testLog(log) });
  for (const target of [ALPINE, BUSYBOX]) await core.ask(target);
  hub.log.length = 0;
}

/** The cache state of an answer, and how many requests it cost the registry. Probes are nobody's. */
async function ask(target: string): Promise<[state: string, requests: number]> {
  const count = () => hub.log.filter(({ server, path }) => server === 'registry' && path !== '/v2/').length;
  const before = count();
  const { status, headers } = await core.ask(target);
  return [String(headers['hubgate-cache'] ?? status), count() - before];
}

const opened = () => log.filter(({ msg }) => msg === 'an upstream host is left alone for a while').length;

test('a hung upstream costs the callers of one probe the time for revalidating, and the next ones nothing', async () => {
  await start({ ...PATIENCE, revalidation: 100, probeAfter: 60_000 });
  hub.plant('registry', /./, { kind: 'hang' });
  core.now += 61_000;
  assert.deepEqual(await ask(ALPINE), ['stale', 1]);
  await waitFor(() => opened() === 1);
  assert.deepEqual(await ask(BUSYBOX), ['stale', 0]);
  assert.deepEqual(await ask('library/never/manifests/latest'), ['504', 0]);
  assert.equal(opened(), 1);
  assert.equal(
    log.filter(({ msg }) => msg === 'upstream trouble').length,
    1,
    'what is known is not said again',
  );
});

test('one time-out does not cut off a host that answers otherwise', async () => {
  await start({ ...PATIENCE, revalidation: 100, probeAfter: 60_000 });
  hub.plant('registry', /alpine/, { kind: 'hang' });
  core.now += 61_000;
  assert.deepEqual(await ask(ALPINE), ['stale', 1]);
  await waitFor(() => hub.log.some(({ path }) => path === '/v2/'));
  assert.deepEqual(await ask(BUSYBOX), ['revalidated', 1]);
  assert.equal(opened(), 0);
});

test('a host that is there again is found out in the background', async () => {
  await start({ ...PATIENCE, revalidation: 100, probeAfter: 20, probeAtMost: 40 });
  hub.plant('registry', /./, { kind: 'hang' });
  core.now += 61_000;
  assert.deepEqual(await ask(ALPINE), ['stale', 1]);
  await waitFor(() => hub.log.filter(({ path }) => path === '/v2/').length > 1);
  hub.heal();
  await waitFor(() => log.some(({ msg }) => msg === 'an upstream host answers again'));
  // On a busy machine an answer can take longer than the short deadline of this test.
  await waitFor(async () => {
    core.now += 61_000;
    const [cache, requests] = await ask(ALPINE);
    return cache === 'revalidated' && requests === 1;
  });
});

test('a host that answers a probe with trouble is not there again', async () => {
  await start({ ...PATIENCE, revalidation: 100, probeAfter: 5, probeAtMost: 10 });
  hub.plant('registry', /./, { kind: 'status', status: 503 });
  const probes = () => hub.log.filter(({ path }) => path === '/v2/').length;
  for (let round = 0; round < 5; round++) await ask('library/never/manifests/latest');
  await waitFor(() => probes() > 1);
  assert.ok(log.every(({ msg }) => msg !== 'an upstream host answers again'));
});

test('failures count per repository: one that is broken upstream does not cut off the others', async () => {
  await start({ breakAfter: 3, probeAfter: 60_000, probeAtMost: 60_000 });
  hub.plant('registry', /broken/, { kind: 'status', status: 500 });
  for (let round = 0; round < 4; round++) {
    for (let resource = 0; resource < 5; resource++) await ask(`library/broken/manifests/${resource}`);
    core.now += 61_000;
    assert.deepEqual(await ask(ALPINE), ['revalidated', 1]);
  }
  assert.equal(opened(), 0);
});

test('a host that fails for several repositories is left alone', async () => {
  await start({ breakAfter: 3, probeAfter: 60_000 });
  hub.plant('registry', /./, { kind: 'status', status: 500 });
  for (const name of ['one', 'two', 'three']) await ask(`library/${name}/manifests/latest`);
  assert.equal(opened(), 1);
  core.now += 61_000;
  assert.deepEqual(await ask(ALPINE), ['stale', 0]);
});
