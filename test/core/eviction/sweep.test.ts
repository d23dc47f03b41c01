import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, test } from 'node:test';
import type { CoreOptions } from '../../../src/core/core.ts';
import { assertBytes } from '../../support/assert-bytes.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, SHORT_LIMITS, TestCore } from '../../support/test-core.ts';
import { type LoggedLine, testLog } from '../../support/test-log.ts';
import { waitFor } from '../../support/wait-for.ts';

const MIB = 1024 * 1024;
const HOUR = 3_600_000;

let hub: FakeHub;
let core: TestCore;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

async function start(options: Partial<CoreOptions>): Promise<void> {
  core = await TestCore.start(hub, { limits: { ...SHORT_LIMITS, sweepEvery: 5 }, ...options });
}

function push(name: string, size = MIB): TestImage {
  const image = imageOf({ layers: [randomBytes(size)] });
  hub.push(`library/${name}`, 'latest', image);
  return image;
}

async function pull(name: string, image: TestImage): Promise<void> {
  assert.equal((await core.ask(`library/${name}/manifests/latest`)).status, 200);
  for (const layer of image.layers) {
    assertBytes(await core.blob(`library/${name}/blobs/${layer}`), image.blobs.get(layer));
    // It is given out before it is published, and is used then.
    await waitFor(() => isHere(layer));
  }
}

const isHere = (digest: string | undefined) =>
  core.content(digest ?? '').then(
    () => true,
    () => false,
  );

test('the longest unused goes first, by real use; a use of a manifest is one of what it names', async () => {
  await start({ maxSize: 4 * MIB });
  const [old, used, fresh, last] = ['old', 'used', 'fresh', 'last'].map((name) => push(name));
  await pull('old', old ?? assert.fail());
  core.now += HOUR;
  await pull('used', used ?? assert.fail());
  core.now += HOUR;
  await pull('fresh', fresh ?? assert.fail());
  core.now += HOUR;
  // As docker does that has the layers already.
  await core.ask(`library/used/manifests/${used?.digest}`);
  core.now += HOUR;
  await pull('last', last ?? assert.fail());
  await waitFor(async () => !(await isHere(old?.layers[0])));
  for (const image of [used, fresh, last]) assert.ok(await isHere(image?.layers[0]));
  core.now += HOUR;
  await pull('more', push('more'));
  await waitFor(async () => !(await isHere(fresh?.layers[0])));
  for (const image of [used, last]) assert.ok(await isHere(image?.layers[0]));
});

test('what nobody has used for so long goes, and is fetched again when it is asked for', async () => {
  await start({ unusedFor: 30 * 24 * HOUR });
  const image = push('alpine');
  await pull('alpine', image);
  core.now += 31 * 24 * HOUR;
  await waitFor(async () => !(await isHere(image.layers[0])));
  await pull('alpine', image);
});

test('what was used in the last minute stays as long as the rest makes room', async () => {
  await start({ maxSize: 100_000_000, limits: SHORT_LIMITS });
  const [old, used] = [push('old'), push('used')];
  await pull('old', old);
  core.now += 30_000;
  await pull('used', used);
  core.now += 31_000;
  const log: LoggedLine[] = [];
  await core.restart({
    maxSize: 1.5 * MIB,
    limits: { ...SHORT_LIMITS, sweepEvery: 5 },
    log: testLog(log),
  });
  await waitFor(() => log.some(({ msg }) => msg === 'evicted'));
  assert.deepEqual([await isHere(old.layers[0]), await isHere(used.layers[0])], [false, true]);
  assert.ok(!log.some(({ msg }) => msg.startsWith('what was used within the last minute')));
});

test('the size is kept where more is used within a minute than may be there, at once, and the log says so', async () => {
  const log: LoggedLine[] = [];
  const limits = { ...SHORT_LIMITS, sweepAfterGrowth: 5 };
  await start({ maxSize: 2.5 * MIB, limits, log: testLog(log) });
  const images = ['one', 'two', 'three'].map((name) => push(name));
  for (const [at, name] of ['one', 'two', 'three'].entries()) {
    core.now += 6_000;
    await pull(name, images[at] ?? assert.fail());
  }
  // No periodic sweep comes within the time of this test.
  await waitFor(async () => !(await isHere(images[0]?.layers[0])));
  assert.ok(await isHere(images[2]?.layers[0]), 'nobody takes what was used within the last seconds');
  const warnings = () =>
    log.filter(({ msg }) => msg.startsWith('what was used within the last minute')).length;
  // The sweep says so at its end, when it knows what it has taken.
  await waitFor(() => warnings() === 1);
  const overfill = async (name: string, gone: TestImage | undefined) => {
    core.now += 6_000;
    await pull(name, push(name));
    await waitFor(async () => !(await isHere(gone?.layers[0])));
  };
  await overfill('four', images[1]);
  await overfill('five', images[2]);
  assert.equal(warnings(), 1, 'one warning an hour is enough');
});

test('a blob that is larger than the cache may be goes past it, whether its size is announced or not', async () => {
  await start({ maxSize: 100_000 });
  const image = push('alpine');
  const target = `library/alpine/blobs/${image.layers[0]}`;
  const bytes = image.blobs.get(image.layers[0] ?? assert.fail());
  assert.equal((await core.ask('library/alpine/manifests/latest')).status, 200);
  const announced = await core.ask(target);
  assert.equal(announced.headers['hubgate-cache'], 'bypass');
  assertBytes(announced.body, bytes);

  const unannounced = push('busybox');
  const other = `library/busybox/blobs/${unannounced.layers[0]}`;
  hub.plant('cdn', /^GET/, { kind: 'unsized' });
  const { body } = await core.ask(other);
  assert.equal(JSON.parse(body.toString().trim().split('\n').at(-1) ?? '').kind, 'interrupted');
  const past = await core.ask(other);
  assert.equal(past.headers['hubgate-cache'], 'bypass');
  assertBytes(past.body, unannounced.blobs.get(unannounced.layers[0] ?? assert.fail()));
  assert.ok(!(await isHere(unannounced.layers[0])));
});

test('what a gateway gave out of its memory was used, for it says so', async () => {
  await start({ unusedFor: 30 * 24 * HOUR });
  const [remembered, unused] = [push('remembered'), push('unused')];
  await pull('remembered', remembered);
  await pull('unused', unused);
  core.now += 29 * 24 * HOUR;
  const digest = remembered.layers[0] ?? '';
  const asked = { caller: '', upstream: 'docker.io', path: 'library/remembered', reference: digest, digest };
  assert.deepEqual(await core.served([{ ...asked, kind: 'blob', method: 'GET' }]), [null]);
  core.now += 2 * 24 * HOUR;
  await waitFor(async () => !(await isHere(unused.layers[0])));
  assert.ok(await isHere(digest));
});
