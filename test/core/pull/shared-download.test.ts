import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { assertBytes } from '../../support/assert-bytes.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, PATIENT_LIMITS, TestCore } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

/** The layer is in `acme/mine` and `acme/other`, and not in `acme/without`. All of them are public. */
let hub: FakeHub;
let core: TestCore;
let image: TestImage;
let bytes: Buffer;
let blob: string;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  image = imageOf({ size: 300_000 });
  const digest = image.layers[0] ?? assert.fail();
  bytes = image.blobs.get(digest) ?? assert.fail();
  blob = `blobs/${digest}`;
  hub.push('acme/mine', 'latest', image);
  hub.push('acme/other', 'latest', image);
  hub.push('acme/without', 'latest', imageOf());
  core = await TestCore.start(hub);
  for (const name of ['mine', 'other', 'without']) await core.ask(`acme/${name}/manifests/latest`);
  hub.log.length = 0;
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function isAsked(name: string): Promise<void> {
  return waitFor(() => hub.log.some((entry) => entry.path.includes(`/acme/${name}/blobs/`)));
}

function downloads(): number {
  return hub.log.filter(({ server, bytes: sent }) => server === 'cdn' && sent > 0).length;
}

/** Answers once `gate` is open. */
function plantAt(name: string, gate: Promise<void>): void {
  hub.plant('registry', new RegExp(`acme/${name}/blobs`), { kind: 'after', action: () => gate }, 1);
}

test('invariant 12: a refusal belongs to the repository that it was asked for', async () => {
  const gate = Promise.withResolvers<void>();
  plantAt('without', gate.promise);
  const refused = core.ask(`acme/without/${blob}`);
  await isAsked('without');
  // The other question is under way, and has no answer yet.
  assertBytes(await core.blob(`acme/mine/${blob}`), bytes);
  gate.resolve();
  assert.equal((await refused).status, 404);
});

test('invariant 12: trouble of one repository is not the answer of another either', async () => {
  await core.restart({ limits: { ...PATIENT_LIMITS, headers: 3_000 } });
  hub.plant('registry', /acme\/without\/blobs/, { kind: 'hang' });
  const troubled = core.ask(`acme/without/${blob}`);
  await isAsked('without');
  assertBytes(await core.blob(`acme/mine/${blob}`), bytes);
  assert.equal((await troubled).status, 504);
});

test('two repositories that confirm one digest at the same time share one download', async () => {
  const gate = Promise.withResolvers<void>();
  plantAt('mine', gate.promise);
  plantAt('other', gate.promise);
  const both = ['mine', 'other'].map((name) => core.ask(`acme/${name}/${blob}`));
  await Promise.all([isAsked('mine'), isAsked('other')]);
  gate.resolve();
  const answers = await Promise.all(both);
  assert.deepEqual(answers.map(({ headers }) => headers['hubgate-cache']).toSorted(), ['fill', 'joined']);
  for (const name of ['mine', 'other']) assertBytes(await core.blob(`acme/${name}/${blob}`), bytes);
  const lines = answers.map(({ body }) => JSON.parse(body.toString().split('\n')[0] ?? '').id);
  assert.equal(new Set(lines).size, 1);
});

test('invariant 2: who waits for a download that is refused asks under the own scope, whoever fills next', async () => {
  const refusal = Promise.withResolvers<void>();
  plantAt('without', refusal.promise);
  const first = core.ask(`acme/without/${blob}`);
  const second = core.ask(`acme/without/${blob}`);
  await isAsked('without');
  const filling = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 1000, gate: filling.promise });
  const filled = core.blob(`acme/mine/${blob}`);
  await waitFor(() => hub.log.some(({ server }) => server === 'cdn'));
  refusal.resolve();
  assert.deepEqual([(await first).status, (await second).status], [404, 404]);
  filling.resolve();
  assertBytes(await filled, bytes);
});

test('a repository that says no in the middle of a fill interrupts it, so that others go on under their own scope', async () => {
  hub.push('acme/without', 'latest', image);
  // Its storage gives a part of the blob, and then it is not there any more.
  hub.plant('cdn', /^GET/, { kind: 'drop', at: 100_000 }, 1);
  const match = /GET \S+acme\/without\/blobs/;
  hub.plant('registry', match, { kind: 'after', action: () => {} }, 1);
  hub.plant('registry', match, { kind: 'status', status: 404 });
  const { body } = await core.ask(`acme/without/${blob}`);
  assert.match(body.toString(), /\{"kind":"interrupted"[^\n]*\}\n$/);
  assertBytes(await core.blob(`acme/mine/${blob}`), bytes);
});

test('what a fill has left stays where another repository says no', async () => {
  hub.plant('cdn', /^GET/, { kind: 'drop', at: 20_000 });
  await core.ask(`acme/mine/${blob}`);
  hub.heal();
  const partial = path.join(core.directory, 'data/partial', blob.replace('blobs/', '').replace(':', '-'));
  const { size } = await stat(partial);
  assert.ok(size > 0);
  assert.equal((await core.ask(`acme/without/${blob}`)).status, 404);
  assert.equal((await stat(partial)).size, size);
  hub.log.length = 0;
  assertBytes(await core.blob(`acme/mine/${blob}`), bytes);
  assert.equal(downloads(), 1);
});
