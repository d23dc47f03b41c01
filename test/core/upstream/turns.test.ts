import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { CONNECTIONS } from '../../../src/core/limits.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf } from '../../support/image.ts';
import { ACCOUNT, PATIENT_LIMITS, TestCore } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

let hub: FakeHub;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  hub.push('library/alpine', 'latest', imageOf());
});

afterEach(() => hub[Symbol.asyncDispose]());

/** Starts a core that has the token of the repository. */
async function start(limits = PATIENT_LIMITS): Promise<TestCore> {
  const core = await TestCore.start(hub, { limits });
  assert.equal((await core.ask('library/alpine/manifests/latest', { grant: 'private' })).status, 200);
  hub.log.length = 0;
  return core;
}

function ask(core: TestCore, subject: string, tag: string) {
  const headers = { 'hubgate-subject-key': subject };
  return core.ask(`library/alpine/manifests/${subject}-${tag}`, { grant: 'private', headers });
}

/** Returns the questions of a subject that the upstream has received. */
function received(subject: string): number {
  return hub.log.filter(({ path }) => path.includes(`/manifests/${subject}-`)).length;
}

test('many questions of one subject do not delay those of another', async () => {
  await using core = await start();
  const gate = Promise.withResolvers<void>();
  hub.plant('registry', /manifests/, { kind: 'after', action: () => gate.promise });
  const bobs = Array.from({ length: 50 }, (_, at) => ask(core, 'bob', `${at}`));
  await waitFor(() => received('bob') === CONNECTIONS.each);
  const ana = ask(core, 'ana', '1');
  await waitFor(() => received('ana') === 1);
  assert.equal(received('bob'), CONNECTIONS.each, 'the others of bob wait');
  gate.resolve();
  for (const { status } of await Promise.all([...bobs, ana])) assert.equal(status, 404);
});

test('invariant 16: a subject fills at most half of the queue, and the others still find a place in it', async () => {
  const waiting = 16;
  await using core = await start({ ...PATIENT_LIMITS, waiting });
  const gate = Promise.withResolvers<void>();
  hub.plant('registry', /manifests/, { kind: 'after', action: () => gate.promise });
  const most = CONNECTIONS.each + waiting / 2;
  const bobs = Array.from({ length: most + 5 }, (_, at) => ask(core, 'bob', `${at}`));
  const refused: number[] = [];
  for (const sent of bobs)
    void sent.then(({ status }) => {
      if (status !== 404) refused.push(status);
    });
  await waitFor(() => refused.length === 5);
  assert.deepEqual(refused, Array(5).fill(503));
  const anas = Array.from({ length: most }, (_, at) => ask(core, 'ana', `${at}`));
  await waitFor(() => received('ana') === CONNECTIONS.each);
  gate.resolve();
  for (const { status } of await Promise.all(anas)) assert.equal(status, 404);
  await Promise.all(bobs);
});

test('invariant 16: waiting for a turn counts toward the deadline, and is no fault of the host', async () => {
  await using core = await start({ ...PATIENT_LIMITS, headers: 60_000, question: 6_000 });
  const gate = Promise.withResolvers<void>();
  hub.plant('registry', /bob/, { kind: 'after', action: () => gate.promise });
  const bobs = Array.from({ length: CONNECTIONS.each * 3 }, (_, at) => ask(core, 'bob', `${at}`));
  for (const { status } of await Promise.all(bobs)) assert.equal(status, 504);
  assert.equal((await ask(core, 'ana', '1')).status, 404);
  gate.resolve();
});
