import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FILL_PLACES } from '../../../src/core/limits.ts';
import { FillPlaces, type TakenPlace } from '../../../src/core/pull/fill-places.ts';
import { FakeHub } from '../../support/fake-hub.ts';
import { imageOf } from '../../support/image.ts';
import { ACCOUNT, handedOver, PATIENT_LIMITS, SHORT_LIMITS, TestCore } from '../../support/test-core.ts';
import { waitFor } from '../../support/wait-for.ts';

const BOUNDS = {
  places: 4,
  placesPerSubject: 3,
  queued: 8,
  queuedPerSubject: 5,
  watchEvery: 5,
  abandonedAfter: 5,
};
const NEVER = new AbortController().signal;

function placesOf(onWaiting = () => {}): (caller: string, deadline?: number) => Promise<TakenPlace> {
  const places = new FillPlaces({ bounds: BOUNDS, onWaiting });
  return (caller, deadline) =>
    places.take({
      subjectKey: caller,
      signal: deadline === undefined ? NEVER : AbortSignal.timeout(deadline),
    });
}

function release(place: TakenPlace | undefined): void {
  assert.ok(typeof place === 'object');
  place[Symbol.dispose]();
}

test('nobody has all places, and a free one goes to the waiting caller who has the fewest', async () => {
  const take = placesOf();
  const bob = await Promise.all([take('bob'), take('bob'), take('bob')]);
  const served: string[] = [];
  const wait = (caller: string) =>
    take(caller).then((place) => {
      served.push(caller);
      return place;
    });
  const bobs = [wait('bob'), wait('bob')];
  const ana = await take('ana');
  const anas = wait('ana');
  release(bob[0]);
  await Promise.race([...bobs, anas]);
  assert.deepEqual(served, ['ana'], 'bob waited for longer, and has more');
  release(ana);
  release(bob[1]);
  await bobs[0];
  assert.equal(served[1], 'bob');
});

test('the queue is bounded, by caller and in total, and waiting ends with the deadline', async () => {
  const take = placesOf();
  for (let count = 0; count < 3; count++) await take('bob');
  const waiting = Array.from({ length: 5 }, () => take('bob', 20));
  assert.equal(await take('bob'), 'full');
  await take('cy');
  const others = ['d', 'e', 'f'].map((caller) => take(caller, 20));
  assert.equal(await take('g'), 'full');
  assert.deepEqual(new Set(await Promise.all([...waiting, ...others])), new Set(['late']));
  const place = take('g', 20);
  assert.equal(await place, 'late');
});

let hub: FakeHub;
let core: TestCore;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  // Nothing but the sharing decides here, however slow the machine is.
  const long = { connect: 60_000, headers: 60_000, bodyIdle: 60_000, token: 60_000, question: 60_000 };
  core = await TestCore.start(hub, { limits: { ...SHORT_LIMITS, ...long } });
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function begin(target: string, caller: string): ClientRequest {
  const handed = handedOver(target, 'private');
  const headers = { ...handed.headers, 'hubgate-subject-key': caller };
  const socketPath = path.join(core.directory, 'core.sock');
  const sent = request({ ...handed, socketPath, headers, agent: false });
  sent.on('error', () => {});
  return sent.end();
}

/**
 * The targets of as many layers that the upstream begins to send and does not go on with until `gate` opens.
 */
function pushLayers(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => {
    const image = imageOf({ layers: [randomBytes(1000)] });
    hub.push(`library/${name}`, `tag-${at}`, image);
    return `library/${name}/blobs/${image.layers[0]}`;
  });
}

test('many downloads of one caller do not delay those of another; what nobody reads gives way and is gone on with later', async () => {
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 500, gate: gate.promise });
  const layers = pushLayers('many', 100);
  const bobs = layers.map((target) => begin(target, 'bob'));
  await waitFor(
    () => hub.log.filter(({ server, method }) => server === 'cdn' && method === 'GET').length >= 32,
  );
  const anas = pushLayers('few', 20).map((target) => begin(target, 'ana'));
  const answers: IncomingMessage[] = [];
  for (const sent of anas) sent.once('response', (response) => answers.push(response.resume()));
  // Sixteen places are left beside bob's. The other four come from those that he has left.
  await waitFor(() => answers.length >= 16);
  for (const sent of bobs) sent.destroy();
  await waitFor(() => answers.length === 20);
  assert.ok(answers.every(({ statusCode }) => statusCode === 200));
  gate.resolve();
  await Promise.all(answers.map((response) => response.complete || once(response, 'end')));
  hub.heal();
  hub.log.length = 0;
  const [again] = layers;
  const [response] = (await once(begin(again ?? '', 'bob'), 'response')) as [IncomingMessage];
  await once(response.resume(), 'end');
  assert.equal(response.statusCode, 200);
});

test('invariant 16: the wait for a place counts toward the deadline of the answer', async () => {
  // A busy machine has half of it for giving bob's places back.
  const question = 4_000;
  await core[Symbol.asyncDispose]();
  core = await TestCore.start(hub, { limits: { ...PATIENT_LIMITS, headers: 60_000, question } });
  const gate = Promise.withResolvers<void>();
  hub.plant('cdn', /^GET/, { kind: 'pause', at: 500, gate: gate.promise });
  const many = pushLayers('many', FILL_PLACES.placesPerSubject).map((target) => begin(target, 'bob'));
  await Promise.all(many.map((sent) => once(sent, 'response')));
  hub.plant('registry', /^GET .*late\/blobs/, { kind: 'hang' });
  const [first = '', second = ''] = pushLayers('late', 2);
  const ended: string[] = [];
  const end = async (target: string, caller: string) => {
    const [response] = (await once(begin(target, caller), 'response')) as [IncomingMessage];
    response.resume();
    assert.equal(response.headers['hubgate-error'], 'UPSTREAM_TIMEOUT');
    ended.push(caller);
  };
  // Bob has no place left until half of his time is over. Ana has one at once, and begins before that.
  setTimeout(() => gate.resolve(), question / 2);
  const bob = end(first, 'bob');
  const ana = delay(question / 4).then(() => end(second, 'ana'));
  await Promise.all([bob, ana]);
  assert.deepEqual(ended, ['bob', 'ana']);
  assert.equal(hub.log.filter(({ path: at }) => at.includes('late/blobs')).length, 2, 'both were asked for');
});
