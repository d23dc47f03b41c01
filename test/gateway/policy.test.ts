import assert from 'node:assert/strict';
import { rename, rm, symlink, writeFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { starvedFor } from '../support/starved-for.ts';
import { basic, PASSWORD } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { withMirror } from '../support/with-mirror.ts';

const POLICY = `
allow:
  - { id: base, pull: library/**, to: authenticated }
  - { id: releases, pull: acme/app, to: ana, tags: ["1.*"], private: true }
  - { id: preview, pull: acme/app, to: ana, tags: ["2.*"] }
deny:
  - { id: pinned, pull: library/**, tags: [latest], to: bo, because: "production pins versions" }
`;

const alpine = imageOf();
const { hub, hubgate } = await withMirror(
  { after },
  {
    policy: POLICY,
    users: ['ana', 'bo'],
    images: { 'library/alpine': alpine, 'library/alpine:3.20': alpine, 'library/alpine:3.21': alpine },
    privateImages: {
      'acme/app:1.0': imageOf(),
      'acme/app:1.1': imageOf(),
      'acme/app:2.0': imageOf(),
      'acme/app:3.0': imageOf(),
    },
  },
);

test('a rule of tags holds for resolving them, and its reason reaches the caller', async () => {
  const manifest = (reference: string, user: string) =>
    hubgate.ask(`/v2/library/alpine/manifests/${reference}`, { user });
  const refused = await manifest('latest', 'bo');
  assert.equal(refused.status, 403);
  assert.equal(JSON.parse(refused.body.toString()).errors[0].message, 'production pins versions');
  for (const [reference, user] of [
    ['latest', 'ana'],
    ['3.20', 'bo'],
    [alpine.digest, 'bo'],
  ] as const)
    assert.equal((await manifest(reference, user)).status, 200, `${user} ${reference}`);
  await waitFor(async () => (await hubgate.audit()).some(({ rule }) => rule === 'pinned'));
});

test('a list of tags names exactly those that the caller may pull', async () => {
  const tags = async (repository: string, user: string) =>
    JSON.parse((await hubgate.ask(`/v2/${repository}/tags/list`, { user })).body.toString()).tags;
  assert.deepEqual(await tags('library/alpine', 'ana'), ['3.20', '3.21', 'latest']);
  assert.deepEqual(await tags('library/alpine', 'bo'), ['3.20', '3.21']);
  // It is private: what a rule without `private: true` allows cannot be pulled.
  assert.deepEqual(await tags('acme/app', 'ana'), ['1.0', '1.1']);
  for (const [tag, status] of [
    ['1.0', 200],
    ['2.0', 404],
    ['3.0', 403],
  ] as const)
    assert.equal((await hubgate.ask(`/v2/acme/app/manifests/${tag}`, { user: 'ana' })).status, status, tag);
});

test('a request is decided by one version of the policy, the one of its beginning, however long it takes', async () => {
  const change = POLICY.replace('to: bo, because', 'to: authenticated, because');
  const latest = async () =>
    (await hubgate.ask('/v2/library/alpine/manifests/latest', { user: 'ana' })).status;
  const switchPolicy = async () => {
    await hubgate.setPolicy(change);
    await waitFor(async () => (await latest()) === 403);
  };
  hub.plant('registry', /alpine\/tags\/list/, { kind: 'after', action: switchPolicy }, 1);
  const tags = async () =>
    JSON.parse((await hubgate.ask('/v2/library/alpine/tags/list', { user: 'ana' })).body.toString()).tags;
  assert.deepEqual(await tags(), ['3.20', '3.21', 'latest']);
  assert.deepEqual(await tags(), ['3.20', '3.21']);
  hub.heal();
  await hubgate.setPolicy(POLICY);
  await waitFor(async () => (await latest()) === 200);
});

async function admin(target: string): Promise<string> {
  return (await ask({ host: '127.0.0.1', port: hubgate.adminPort, path: target })).body.toString();
}

test('a refused edit shows in readiness and in the metrics, and is over when it is mended', async () => {
  const before = JSON.parse(await admin('/readyz')).auth.policy;
  assert.equal(before.refused, null);
  await hubgate.writePolicy('version: 1\nallow: [{ pull: library/**, to: group:none }]\n...\n');
  await waitFor(async () => JSON.parse(await admin('/readyz')).auth.policy.refused !== null);
  const { ready, auth } = JSON.parse(await admin('/readyz'));
  assert.equal(ready, true);
  assert.match(auth.policy.refused[0], /access\.yaml:2:\d+: there is no group "none"/);
  const metrics = await admin('/metrics');
  assert.match(metrics, /^hubgate_policy_refused 1$/m);
  assert.match(metrics, /^hubgate_policy_refusals [1-9]\d*$/m);
  assert.match(
    metrics,
    new RegExp(`^hubgate_policy_info\\{version="${before.version.slice(0, 12)}"\\} 1$`, 'm'),
  );
  await hubgate.setPolicy(POLICY);
  await waitFor(async () => /^hubgate_policy_refused 0$/m.test(await admin('/metrics')));
});

const RELOADS = 200;
/** Milliseconds between two edits, and from an answer to the next question. */
const EDIT_EVERY = 75;
const ASK_EVERY = 10;

test('invariant 13: 200 edits under load: each answer is one version’s, and none is of one replaced a second before', async (t) => {
  const ports = [hubgate.port, await hubgate.addGateway()];
  const agents = ports.map(() => new Agent({ keepAlive: true, maxSockets: 4, ca: hubgate.ca }));
  t.after(() => agents.map((agent) => agent.destroy()));
  const question = async (turn: number) => {
    const [port = 0, agent] = [ports[turn], agents[turn]];
    const [asked, starved] = [performance.now(), starvedFor()];
    const headers = { authorization: basic('ana', PASSWORD) };
    const target = { path: '/v2/library/old/manifests/1', port, headers, ...(agent && { agent }) };
    const { body } = await hubgate.send(target);
    return { version: String(JSON.parse(body.toString()).errors[0].message), asked, starved };
  };
  const arrives = (version: () => string) =>
    Promise.all([0, 1].map((turn) => waitFor(async () => (await question(turn)).version === version())));
  let current = await edit(0);
  await arrives(() => current);
  /**
   * Of each version when it was replaced, by the monotonic clock, and for how long this process had been
   * without a CPU then.
   */
  const replaced = new Map<string, { readonly at: number; readonly starved: number }>();
  /** The number of questions that each gateway has asked, and of those that were answered. */
  const answered = [0, 0];
  const nextAnswers = async () => {
    const before = [...answered];
    await waitFor(() => answered.every((count, turn) => count > (before[turn] ?? 0)));
  };
  const editing = (async () => {
    for (let number = 1; number <= RELOADS; number++) {
      // On a busy machine there is an answer between two edits too.
      await Promise.all([delay(EDIT_EVERY), nextAnswers()]);
      const next = await edit(number);
      replaced.set(current, { at: performance.now(), starved: starvedFor() });
      current = next;
    }
  })();
  let isOver = false;
  void editing.then(() => {
    isOver = true;
  });
  // Only when it has its answer: a busy machine would be buried in questions, and slow for that.
  const askUntilOver = async (turn: number) => {
    const answers: Awaited<ReturnType<typeof question>>[] = [];
    for (; !isOver; await delay(ASK_EVERY)) {
      answers.push(await question(turn));
      answered[turn] = answers.length;
    }
    return answers;
  };
  const answers = (await Promise.all([0, 1].map(askUntilOver))).flat();
  // A second in which the program may run.
  const late = answers.filter(({ version, asked, starved }) => {
    const then = replaced.get(version);
    return then !== undefined && asked - then.at - (starved - then.starved) > 1_000;
  });
  assert.deepEqual(late, []);
  const versions = new Set(answers.map(({ version }) => version));
  for (const version of versions) assert.ok(version === current || replaced.has(version), version);
  assert.ok(versions.size > RELOADS / 10, `${versions.size} versions were seen in ${answers.length} answers`);
  await arrives(() => current);
});

/** Writes version `number`, each time in another way, and says how its refusals read. */
async function edit(number: number): Promise<string> {
  const version = `v${number}`;
  const text = `version: 1\ndeny: [{ pull: library/old, to: authenticated, because: ${version} }]\n...\n`;
  const file = hubgate.paths.policy;
  const target = path.join(hubgate.home, `access-${number % 2}.target`);
  switch (number % 3) {
    case 0:
      await writeFile(`${file}.new`, text);
      await rename(`${file}.new`, file);
      break;
    case 1:
      // In place, unless it is a link now.
      await rm(file);
      await writeFile(file, text);
      break;
    default:
      await writeFile(target, text);
      await rm(`${file}.link`, { force: true });
      await symlink(target, `${file}.link`);
      await rename(`${file}.link`, file);
  }
  return version;
}
