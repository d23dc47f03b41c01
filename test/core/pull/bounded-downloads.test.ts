import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { SUBJECT_DOWNLOADS } from '../../../src/core/limits.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf } from '../../support/image.ts';
import { ACCOUNT, PATIENT_LIMITS, TestCore } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

const MOST = 100_000;

let hub: FakeHub;
let core: TestCore;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  core = await TestCore.start(hub, { limits: { ...PATIENT_LIMITS, subjectDownloads: MOST } });
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

/** Pushes a layer of this size, and returns its target. */
function pushLayer(name: string, size = 60_000): string {
  const image = imageOf({ size });
  hub.push(`library/${name}`, 'latest', image);
  return `library/${name}/blobs/${image.layers[0]}`;
}

function ask(target: string, subject: string) {
  return core.ask(target, { grant: 'private', headers: { 'hubgate-subject-key': subject } });
}

test('a subject that has downloaded as much as one may is refused at once, and says until when', async () => {
  for (const name of ['one', 'two']) assert.equal((await ask(pushLayer(name), 'ana')).status, 200);
  hub.log.length = 0;
  const begun = core.now;
  const { status, headers } = await ask(pushLayer('three'), 'ana');
  assert.equal(status, 429);
  const { untilMs, ...refusal } = JSON.parse(String(headers['hubgate-quota-refusal']));
  assert.deepEqual(refusal, {
    kind: 'limit',
    unit: 'bytes',
    used: 120_000,
    max: MOST,
    windowMs: SUBJECT_DOWNLOADS.windowMs,
  });
  assert.deepEqual(hub.takeRequests(), []);
  assert.ok(untilMs > begun);
  core.now = untilMs;
  assert.equal((await ask(pushLayer('four'), 'ana')).status, 200);
});

test('what is cached, what another one downloads, and another subject are free of that', async () => {
  const cached = pushLayer('one', MOST);
  assert.equal((await ask(cached, 'ana')).status, 200);
  assert.equal((await ask(cached, 'ana')).status, 200);
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 500, gate: gate.promise });
  const shared = pushLayer('two');
  const bos = ask(shared, 'bo');
  await waitFor(() => hub.log.filter(({ server }) => server === 'cdn').length === 2);
  const anas = ask(shared, 'ana');
  assert.equal((await ask(pushLayer('three'), 'ana')).status, 429);
  gate.resolve();
  assert.deepEqual([(await bos).status, (await anas).status], [200, 200]);
});

test('a caller without a subject is not counted', async () => {
  for (const name of ['one', 'two', 'three']) assert.equal((await ask(pushLayer(name), '')).status, 200);
});
