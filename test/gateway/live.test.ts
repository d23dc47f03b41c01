import assert from 'node:assert/strict';
import { Agent } from 'node:https';
import { afterEach, beforeEach, test } from 'node:test';
import { hashPassword } from '../../src/auth/identity/password.ts';
import { DELAY_LIMITS } from '../../src/auth/limits.ts';
import { imageOf } from '../support/image.ts';
import type { TestHubgate } from '../support/test-hubgate.ts';
import { untilTrue } from '../support/until-true.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const OPEN = 'allow: [{ pull: library/**, to: authenticated }]';
const CLOSED = 'allow: [{ pull: library/**, to: nobody-here }]';
/** Of whom each is tried once, for whoever guesses at one name has to wait. */
const COLLEAGUES = Array.from({ length: 12 }, (_, index) => `colleague-${index}`);
const TARGET = '/v2/library/alpine/manifests/latest';
/** Beside this cost, the rest of a login takes little time. */
const USUAL_COST = { memory: 19 * 2 ** 20, passes: 2 };

let hubgate: TestHubgate;
let agent: Agent;

beforeEach(async (t) => {
  // Whoever guesses waits for a second at the most, so that a busy machine has the rest of the time for its
  // answer.
  const delays = { ...DELAY_LIMITS, longest: 1_000 };
  const users = ['ana', ...COLLEAGUES];
  ({ hubgate } = await withMirror(t, {
    policy: OPEN,
    users,
    delays,
    passwords: USUAL_COST,
    images: { 'library/alpine': imageOf() },
  }));
  agent = new Agent({ keepAlive: true, maxSockets: 1, ca: hubgate.ca });
});

afterEach(() => agent.destroy());

/** Asks with `token` on one open connection until the status is `status`. See `untilTrue` for the result. */
function untilStatus(token: string, status: number): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return untilTrue(async () => (await hubgate.send({ path: TARGET, agent, headers })).status === status);
}

test('invariant 13: a changed policy holds within a second, on an open connection and for a token that is out', async () => {
  const token = await hubgate.token('ana', 'library/alpine');
  assert.equal((await untilStatus(token, 200)) < 1_000, true);
  await hubgate.setPolicy(CLOSED);
  assert.ok((await untilStatus(token, 403)) < 1_000);
  await hubgate.setPolicy(OPEN);
  assert.ok((await untilStatus(token, 200)) < 1_000);
});

test('invariant 13: a removed user and a changed password end the tokens that are out, within a second', async () => {
  const token = await hubgate.token('ana', 'library/alpine');
  await untilStatus(token, 200);
  await hubgate.setPassword('ana', await hashPassword('another one'));
  assert.ok((await untilStatus(token, 401)) < 1_000);
  const { status, body } = await hubgate.ask('/token?scope=repository:library/alpine:pull', {
    user: 'ana',
    password: 'another one',
  });
  assert.equal(status, 200);
  const renewed = JSON.parse(body.toString()).token;
  assert.equal((await hubgate.ask(TARGET, { token: renewed })).status, 200);
  await hubgate.removeUser('ana');
  assert.ok((await untilStatus(renewed, 401)) < 1_000);
  assert.equal((await hubgate.ask('/v2/', { user: 'ana', password: 'another one' })).status, 401);
});

test('invariant 13: a disabled user is refused within a second, by every way and for tokens that are out, until enabled', async () => {
  const token = await hubgate.token('ana', 'library/alpine');
  await untilStatus(token, 200);
  await hubgate.setDisabled('ana', true);
  assert.ok((await untilStatus(token, 401)) < 1_000);
  for (const target of [TARGET, '/v2/', '/token', '/token?scope=repository:library/alpine:pull'])
    assert.equal((await hubgate.ask(target, { user: 'ana' })).status, 401, target);
  await hubgate.setDisabled('ana', false);
  assert.ok((await untilStatus(token, 200)) < 1_000);
  await waitFor(async () => (await hubgate.ask('/token', { user: 'ana' })).status === 200);
});

test('a token that auth has just issued is good at once, for a user who has just been added', async () => {
  for (const user of ['jin', 'bo', 'zoe']) {
    await hubgate.setPassword(user, await hashPassword('another one'));
    const login = { user, password: 'another one' };
    await waitFor(async () => (await hubgate.ask('/token', login)).status === 200);
    const { body } = await hubgate.ask('/token?scope=repository:library/alpine:pull', login);
    assert.equal((await hubgate.ask(TARGET, { token: JSON.parse(body.toString()).token })).status, 200, user);
  }
});

test('invariant 13: a policy that is torn or wrong changes nothing', async () => {
  const token = await hubgate.token('ana', 'library/alpine');
  const text = `version: 1\n${CLOSED}\n...\n`;
  for (const broken of [
    '',
    text.slice(0, -6),
    text.replace('pull:', 'pul:'),
    `${text}\u0000`,
    '['.repeat(2000),
  ]) {
    hubgate.log.length = 0;
    await hubgate.writePolicy(broken);
    await waitFor(() => hubgate.log.some(({ msg }) => /^access policy refused/.test(msg)));
    assert.equal((await hubgate.ask(TARGET, { token })).status, 200, JSON.stringify(broken.slice(0, 40)));
  }
});

test('invariant 14: an unknown name takes as long as a wrong password', async () => {
  const time = async (user: string, attempt: number) => {
    const started = performance.now();
    assert.equal((await hubgate.ask('/token', { user, password: `wrong ${user} ${attempt}` })).status, 401);
    return performance.now() - started;
  };
  const known: number[] = [];
  const unknown: number[] = [];
  for (const [attempt, colleague] of COLLEAGUES.entries()) {
    known.push(await time(colleague, attempt));
    unknown.push(await time(`nobody-${attempt}`, attempt));
  }
  const median = (times: number[]) => times.toSorted((a, b) => a - b)[6] ?? 0;
  const ratio = median(unknown) / median(known);
  assert.ok(ratio > 0.5 && ratio < 2, `an unknown name takes ${ratio.toFixed(2)} times as long`);
});

test('invariants 14 and 16: a flood of logins is bounded, and holds up no pull', async () => {
  const token = await hubgate.token('ana', 'library/alpine');
  await hubgate.ask(TARGET, { token });
  // More than may wait for a hash, which are 32 of a network. All roles and all clients share this process.
  const flood = (user: (index: number) => string) =>
    Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        hubgate.ask('/token', { user: user(index), password: `wrong ${index}` }),
      ),
    );
  const floods = [flood(() => 'ana'), flood((index) => `nobody-${index}`)];
  assert.equal((await hubgate.ask(TARGET, { token })).status, 200);
  const answers = (await Promise.all(floods)).flat();
  const statuses = new Set(answers.map(({ status }) => status));
  assert.deepEqual([...statuses].sort(), [401, 429]);
  assert.equal(answers.find(({ status }) => status === 429)?.headers['retry-after'], '1');
});
