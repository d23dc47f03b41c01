import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { Digest } from '../../../src/registry/digest.ts';
import { FakeHub, type HubServer } from '../../support/fake-hub.ts';
import { ask } from '../../support/http.ts';
import { imageOf, type TestImage } from '../../support/image.ts';
import { ACCOUNT, handedOver, TestCore } from '../../support/test-core.ts';

let hub: FakeHub;
let core: TestCore;
let app: TestImage;

beforeEach(async () => {
  hub = await FakeHub.start();
  hub.accounts.push({ ...ACCOUNT, repositories: [] });
  app = imageOf();
  hub.push('acme/app', '1', app);
  hub.push('acme/other', '1', imageOf());
  core = await TestCore.start(hub);
});

afterEach(async () => {
  await core[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

function layerOf({ layers: [layer] }: TestImage): Digest {
  assert.ok(layer !== undefined);
  return layer;
}

function begin(target: string, method: string): ClientRequest {
  const socketPath = path.join(core.directory, 'core.sock');
  const sent = request({ ...handedOver(target, 'public'), method, socketPath, agent: false });
  sent.on('error', () => {});
  return sent.end();
}

/** Leaves, and returns when the core has seen that. */
async function leave(sent: ClientRequest): Promise<void> {
  sent.destroy();
  const socketPath = path.join(core.directory, 'core.sock');
  for (let turn = 0; turn < 3; turn++) await ask({ socketPath, path: '/status', agent: false });
}

const STEPS: readonly (readonly [step: string, on: HubServer, match: RegExp, method: string, of: string])[] =
  [
    ['the token', 'token', /^GET/, 'GET', 'manifests/1'],
    ['the HEAD', 'registry', /^HEAD .*app\/manifests/, 'GET', 'manifests/1'],
    ['the redirect', 'registry', /^HEAD .*app\/blobs/, 'HEAD', 'blobs/'],
  ];

for (const [step, on, match, method, of] of STEPS)
  test(`invariant 16: after ${step} nothing more is asked for a client that has gone`, async () => {
    // The root of the API is known by then, and the first request carries a token.
    await core.ask('acme/other/manifests/1');
    const target = `acme/app/${of}${of.endsWith('/') ? layerOf(app) : ''}`;
    const answered = Promise.withResolvers<void>();
    const action = async () => {
      await leave(sent);
      hub.log.length = 0;
      answered.resolve();
    };
    // A HEAD of a blob is asked once to learn whether it is there, and once to learn its size.
    if (step === 'the redirect') hub.plant(on, match, { kind: 'after', action: () => {} }, 1);
    hub.plant(on, match, { kind: 'after', action }, 1);
    const sent = begin(target, method);
    await answered.promise;
    const tokens: number[] = [];
    for (const name of ['third', 'fourth']) {
      hub.push(`acme/${name}`, '1', imageOf());
      assert.equal((await core.ask(`acme/${name}/manifests/1`)).status, 200);
      const later = hub.log.filter(({ path: at }) => at.includes('acme/app') || at.includes('/data'));
      assert.deepEqual(later, []);
      tokens.push(hub.log.filter(({ server }) => server === 'token').length);
      hub.log.length = 0;
    }
    // No token for the client that has gone is among those of the next one.
    assert.equal(tokens[0], tokens[1]);
    // Whoever asks then gets all of it.
    assert.equal((await core.ask('acme/app/manifests/1')).status, 200);
  });

test('what somebody else waits for too goes on, whoever has left', async () => {
  await core.ask('acme/other/manifests/1');
  const joined = Promise.withResolvers<IncomingMessage>();
  const action = async () => {
    const [second] = [begin('acme/app/manifests/1', 'GET')];
    void once(second, 'response').then(([response]) => joined.resolve(response));
    await leave(first);
  };
  hub.plant('registry', /^HEAD .*app\/manifests/, { kind: 'after', action }, 1);
  const first = begin('acme/app/manifests/1', 'GET');
  const response = await joined.promise;
  response.resume();
  assert.equal(response.statusCode, 200);
  const heads = hub.log.filter(({ method, path: at }) => method === 'HEAD' && at.includes('app/manifests'));
  assert.equal(heads.length, 1);
});

test('invariant 11: a client that leaves while the upstream is asked for a blob does not stop its fill', async () => {
  await core.ask('acme/app/manifests/1');
  const target = `acme/app/blobs/${layerOf(app)}`;
  const asked = Promise.withResolvers<void>();
  const action = async () => {
    await leave(sent);
    asked.resolve();
  };
  hub.plant('registry', /^GET .*app\/blobs/, { kind: 'after', action }, 1);
  const sent = begin(target, 'GET');
  await asked.promise;
  assert.deepEqual(await core.blob(target), app.blobs.get(layerOf(app)));
  const fetched = hub.log.filter(({ method, path: at }) => method === 'GET' && at.includes('app/blobs'));
  assert.equal(fetched.length, 1);
});
