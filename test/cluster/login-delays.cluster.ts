/** A guesser who asks each node in turn is delayed as if there were one. */
import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { LoginDelays, type LoginOutcome } from '../../src/auth/identity/login-delays.ts';
import { shareDelays } from '../../src/auth/identity/share-delays.ts';
import { DELAY_LIMITS, SHARED_DELAYS } from '../../src/auth/limits.ts';
import { openClusterDatabase } from '../../src/cluster/database.ts';
import { testLog } from '../support/test-log.ts';
import { waitFor } from '../support/wait-for.ts';
import { startPostgres } from './support/postgres-server.ts';

const stack = new AsyncDisposableStack();
const server = stack.use(await startPostgres());
after(() => stack.disposeAsync());

interface Node {
  readonly delays: LoginDelays;
  /** The delays in milliseconds that attempts at this node had. */
  readonly waits: number[];
}

let first: Node;
let second: Node;

beforeEach(async () => {
  const url = await server.database();
  [first, second] = await Promise.all([startNode('n1', url), startNode('n2', url)]);
});

async function startNode(node: string, url: string): Promise<Node> {
  const waits: number[] = [];
  const delays = new LoginDelays({
    clock: Date.now,
    wait: async (milliseconds) => {
      waits.push(milliseconds);
    },
    limits: DELAY_LIMITS,
    stopping: new AbortController().signal,
  });
  const opened = stack.use(await openClusterDatabase({ url, application: node, log: testLog([]) }));
  stack.use(shareDelays({ ...opened, delays, node }));
  return { delays, waits };
}

/**
 * Tries a password, and returns the delay that the attempt had. An attempt that nobody judges does not count.
 */
async function attempt({ delays, waits }: Node, outcome: LoginOutcome, username = 'ana'): Promise<number> {
  const before = waits.length;
  const asked = { username, address: '10.1.2.3', counts: outcome !== 'unknown' };
  await delays.delayed(
    asked,
    async () => outcome,
    (judged) => judged,
  );
  return waits.slice(before)[0] ?? 0;
}

test('wrong passwords at one node delay guesses at another, and a right one ends the delay there', async () => {
  for (let time = 0; time < DELAY_LIMITS.free + 2; time++) await attempt(first, 'wrong');
  await waitFor(async () => (await attempt(second, 'unknown')) === 4 * DELAY_LIMITS.first);
  assert.equal(await attempt(second, 'unknown', 'bob'), 0);
  await attempt(first, 'right');
  await waitFor(async () => (await attempt(second, 'unknown')) === 0);
});

test('each wrong password of a flood counts once at the other node', async () => {
  const names = Array.from({ length: SHARED_DELAYS.perMessage }, (_, index) => `user-${index}`);
  for (let time = 0; time < DELAY_LIMITS.free; time++)
    for (const name of names) await attempt(first, 'wrong', name);
  for (const name of names)
    await waitFor(async () => (await attempt(second, 'unknown', name)) === DELAY_LIMITS.first);
  // Once the first node has heard of this, it has heard all that was told before, its own messages too.
  for (let time = 0; time < DELAY_LIMITS.free; time++) await attempt(second, 'wrong', 'mark');
  await waitFor(async () => (await attempt(first, 'unknown', 'mark')) === DELAY_LIMITS.first);
  for (const name of names) assert.equal(await attempt(first, 'unknown', name), DELAY_LIMITS.first);
});
