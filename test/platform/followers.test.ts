import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Followers } from '../../src/platform/ipc/followers.ts';
import { waitFor } from '../support/wait-for.ts';

const NEVER = new AbortController().signal;
const HOUR = 60 * 60 * 1000;
/** Milliseconds that are never waited out. */
const LONG = 25_000;

/** Questions that wait for their answers, each on a connection of its own. */
async function asker(t: TestContext) {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return async () => {
    const asked = once(server, 'request');
    const client = request({ host: '127.0.0.1', port, agent: false });
    client.on('error', () => {});
    client.end();
    const [, response] = (await asked) as [unknown, ServerResponse];
    return { client, response };
  };
}

test('a follower holds what it asks for something newer than, and one that has ended holds nothing', async (t) => {
  const ask = await asker(t);
  const followers = new Followers(HOUR);
  const count = (etag: string, milliseconds: number) =>
    followers.whenCurrent(() => etag, milliseconds, NEVER);
  const [a, b] = [await ask(), await ask()];
  followers.note('a', 'old', a.response);
  followers.note('b', 'old', b.response);
  assert.deepEqual(await count('old', LONG), { current: 2, behind: 0 });
  assert.deepEqual(await count('new', 0), { current: 0, behind: 2 });
  const all = count('new', LONG);
  // It was answered, and asks again.
  a.response.end();
  followers.note('a', 'new', (await ask()).response);
  assert.deepEqual(await count('new', 0), { current: 1, behind: 1 });
  b.client.destroy();
  assert.deepEqual(await all, { current: 1, behind: 0 });
});

test('a follower that was answered and does not ask again is behind, until it may do nothing any more', async (t) => {
  const ask = await asker(t);
  const { response } = await ask();
  for (const [forgetAfter, behind] of [
    [HOUR, 1],
    [-1, 0],
  ] as const) {
    const followers = new Followers(forgetAfter);
    followers.note('a', 'old', response);
    response.end();
    await waitFor(() => response.writableFinished);
    assert.deepEqual(await followers.whenCurrent(() => 'new', 0, NEVER), { current: 0, behind });
  }
});

test('a role that has just started waits for the questions of all its followers', async (t) => {
  const ask = await asker(t);
  const [a, b] = [await ask(), await ask()];
  const followers = new Followers(HOUR);
  followers.note('a', 'new', a.response);
  const all = followers.whenCurrent(() => 'new', 2_000, NEVER);
  followers.note('b', 'old', b.response);
  assert.deepEqual(await all, { current: 1, behind: 1 });
});
