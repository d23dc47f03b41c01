import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { FakeHub } from '../support/fake-hub.ts';
import { imageOf } from '../support/image.ts';
import { ACCOUNT } from '../support/test-core.ts';
import type { TestHubgate } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

/** One job that pulls more images than the quota of the Hub has, and those who share the quota with it. */
const COLD = { ci: 130, prod: 20, ana: 5, bo: 5 } as const;
type User = keyof typeof COLD;

const ALLOW = 'allow:\n  - { id: all, pull: everything, to: authenticated }';
const LIMIT = `limits:
  - { id: ci, to: ci, upstream: docker.io, pulls: 60/6h, because: "ask #platform" }`;
const RESERVE = 'reserve:\n  - { id: prod, upstream: docker.io, keep: 20%, for: prod }';

let hub: FakeHub;
let hubgate: TestHubgate;

async function start(t: TestContext, ...rules: string[]): Promise<void> {
  const policy = [ALLOW, ...rules].join('\n');
  ({ hub, hubgate } = await withMirror(t, { policy, users: Object.keys(COLD) }));
  for (const [user, count] of Object.entries(COLD))
    for (let at = 0; at < count; at++) hub.push(`library/${user}-${at}`, 'latest', imageOf());
}

/** Pulls as many different images as the user wants, several at a time, and returns the answers. */
async function job(user: User, atATime = 1, count: number = COLD[user]) {
  const names = Array.from({ length: count }, (_, at) => `library/${user}-${at}`);
  const answers: { status: number; wait: unknown; message: string }[] = [];
  const worker = async () => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      const { status, headers, body } = await hubgate.ask(`/v2/${name}/manifests/latest`, { user });
      const message = status === 200 ? '' : String(JSON.parse(body.toString()).errors[0].message);
      answers.push({ status, wait: headers['retry-after'], message });
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return answers;
}

async function servedOf(user: User, atATime?: number): Promise<number> {
  return (await job(user, atATime)).filter(({ status }) => status === 200).length;
}

/** Returns the lines of the audit log about pulls, when it has as many. */
async function recorded(count: number) {
  let lines: Record<string, unknown>[] = [];
  await waitFor(async () => {
    lines = (await hubgate.audit()).filter(({ action }) => action === 'pull');
    return lines.length >= count;
  });
  return lines;
}

test('a careless job takes no more than its limit, and everybody else is served', async (t) => {
  await start(t, LIMIT, RESERVE);
  const answers = await job('ci', 8);
  assert.equal(answers.filter(({ status }) => status === 200).length, 60);
  const refused = answers.filter(({ status }) => status !== 200);
  assert.equal(refused.length, 70);
  for (const { status, wait, message } of refused) {
    assert.deepEqual([status, wait], [429, undefined]);
    assert.match(
      message,
      /^ci has used its 60 docker\.io pulls of 6 h \(limit ci\); more from [0-9: -]+ UTC\. ask #platform$/,
    );
  }
  assert.equal(await servedOf('ana'), 5);
  assert.equal(await servedOf('bo'), 5);
  assert.equal(await servedOf('prod', 4), 20);
  assert.equal(hub.remaining, 10);

  // What is cached is served to the job, and a job that starts again costs the Hub nothing.
  hub.log.length = 0;
  const again = await job('ci', 8, 70);
  assert.equal(again.filter(({ status }) => status === 200).length, 60);
  assert.deepEqual(hub.takeRequests(), []);

  const lines = await recorded(130 + 5 + 5 + 20 + 70);
  const countedOf = (user: User) =>
    lines
      .filter(({ subject }) => subject === `user:${user}`)
      .reduce((sum, { countedPulls }) => sum + Number(countedPulls), 0);
  assert.deepEqual([countedOf('ci'), countedOf('ana'), countedOf('bo'), countedOf('prod')], [60, 5, 5, 20]);
  const limits = lines.filter(({ status }) => status === 429).map(({ limit }) => limit);
  assert.deepEqual([limits.length, ...new Set(limits)], [70 + 10, 'ci']);
});

test('without a limit, a job leaves alone what is reserved', async (t) => {
  await start(t, RESERVE);
  const answers = await job('ci', 1);
  assert.equal(answers.filter(({ status }) => status === 200).length, 80);
  const messages = new Set(answers.filter(({ status }) => status !== 200).map(({ message }) => message));
  for (const message of messages)
    assert.match(message, /^the rest of the quota of docker\.io is kept for others \(reserve prod\)/);
  assert.equal(await servedOf('prod'), 20);
  assert.equal(hub.remaining, 0);
});

test('without any rule, a job waits for the others when the quota is short', async (t) => {
  await start(t);
  assert.equal((await job('ana', 1, 1))[0]?.status, 200);
  assert.equal(await servedOf('ci'), 50);
  assert.equal(await servedOf('ana'), 5);
  assert.equal(await servedOf('bo'), 5);
  assert.equal(await servedOf('prod'), 20);
});

test('while nobody else wants the quota, a job may have all of it', async (t) => {
  await start(t);
  assert.equal(await servedOf('ci', 8), 100);
});

test('a refusal is the same for what exists, for what does not and for what is private', async (t) => {
  await start(t, LIMIT.replace('60/6h', '1/6h'));
  hub.accounts[0] = { ...ACCOUNT, repositories: ['acme/pay'] };
  hub.push('acme/pay', 'latest', imageOf(), { private: true });
  assert.equal((await job('ci', 1, 1))[0]?.status, 200);
  hub.log.length = 0;
  const answerTo = async (repository: string, reference: string) => {
    const answer = await hubgate.ask(`/v2/${repository}/manifests/${reference}`, { user: 'ci' });
    const { date: _, ...headers } = answer.headers;
    return { status: answer.status, headers, body: answer.body.toString() };
  };
  const first = await answerTo('library/ci-1', 'latest');
  assert.equal(first.status, 429);
  for (const repository of ['library/missing', 'acme/pay', 'acme/missing'])
    for (const reference of ['latest', imageOf().digest])
      assert.deepEqual(await answerTo(repository, reference), first, `${repository} ${reference}`);
  assert.deepEqual(hub.takeRequests(), []);
});

test('counts outlast a restart of the core', async (t) => {
  await start(t, LIMIT);
  await job('ci', 4, 40);
  await hubgate.restartCore();
  assert.equal(await servedOf('ci', 1), 60);
});
