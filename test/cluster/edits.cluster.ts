/**
 * The policy is edited on three nodes while clients ask all of them. Each answer is that of one version, and
 * a second after an edit all nodes answer by the same one.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { imageOf } from '../support/image.ts';
import { untilTrue } from '../support/until-true.ts';
import { TestNodes } from './support/test-nodes.ts';

const ROUNDS = 30;
/** In one of so many rounds all nodes are edited at the same time. */
const TOGETHER = 3;
/** The milliseconds from an answer to the next question. */
const ASK_EVERY = 5;
const PULL = '/v2/acme/app/manifests/latest';

let cluster: TestNodes;
let agents: readonly Agent[];
let token: string;

before(async () => {
  cluster = await TestNodes.start();
  cluster.hub.push('acme/app', 'latest', imageOf());
  await cluster.add('zoe');
  token = await cluster.login(0, 'zoe');
  agents = await Promise.all(
    cluster.nodes.map(async ({ home }) => {
      const ca = await readFile(path.join(home, 'certs/ca.crt'), 'utf8');
      return new Agent({ keepAlive: true, maxSockets: 4, servername: 'localhost', ca });
    }),
  );
});

after(async () => {
  for (const agent of agents ?? []) agent.destroy();
  await cluster?.[Symbol.asyncDispose]();
});

/** Writes a version on a node. Its refusals name it. */
async function edit(index: number, version: string): Promise<void> {
  const file = policyOf(index);
  const rules = `version: 1\nallow:\n  - { id: all, pull: "**", to: authenticated, private: true }\n`;
  const text = `${rules}deny:\n  - { id: no, pull: "acme/**", to: authenticated, because: ${version} }\n...\n`;
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

function policyOf(index: number): string {
  return path.join(cluster.node(index).home, 'config/access.yaml');
}

/** Asks a node, and returns the version by which it refuses. */
async function versionOn(index: number): Promise<string> {
  const headers = { authorization: `Bearer ${token}` };
  const { status, body } = await cluster.node(index).ask(PULL, { agent: agents[index], headers });
  assert.equal(status, 403, body.toString());
  return JSON.parse(body.toString()).errors[0].message;
}

/** Returns the version by which all nodes refuse, if it is one. */
async function agreed(): Promise<string | undefined> {
  const [first, ...others] = await Promise.all(cluster.nodes.map((_, index) => versionOn(index)));
  return others.every((version) => version === first) ? first : undefined;
}

/** The versions by which a node may answer now. */
let allowed: ReadonlySet<string> = new Set(['first']);

/** Asks a node until the end. Returns the answers of a version that was not in force during the question. */
async function askUntil(ended: AbortSignal, index: number): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (; !ended.aborted; await delay(ASK_EVERY)) {
    const then = allowed;
    const version = await versionOn(index);
    if (!then.has(version) && !allowed.has(version)) wrong.push(`${version} for ${[...allowed]}`);
  }
  return wrong;
}

test('edits on three nodes under load: each answer is one version’s, and after a second all agree', async () => {
  await edit(0, 'first');
  await untilTrue(async () => {
    const answers = cluster.nodes.map((_, index) => versionOn(index).catch(() => ''));
    return (await Promise.all(answers)).every((version) => version === 'first');
  });
  const ending = new AbortController();
  const asking = Promise.all(cluster.nodes.map((_, index) => askUntil(ending.signal, index)));
  let current = 'first';
  let slowest = 0;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const nodes = round % TOGETHER === 0 ? [0, 1, 2] : [round % 3];
      const versions = nodes.map((index) => `r${round}-n${index + 1}`);
      allowed = new Set([current, ...versions]);
      await Promise.all(nodes.map((index, turn) => edit(index, versions[turn] ?? assert.fail())));
      let settled: string | undefined;
      const took = await untilTrue(async () => {
        settled = await agreed();
        return settled !== undefined && versions.includes(settled);
      });
      slowest = Math.max(slowest, took);
      current = settled ?? assert.fail();
      allowed = new Set([current]);
    }
  } finally {
    ending.abort();
  }
  assert.deepEqual((await asking).flat(), []);
  process.stdout.write(`# all nodes agreed after ${Math.round(slowest)} ms at most\n`);
  assert.ok(slowest <= 1_000, `${slowest} ms`);
  // What lost to another edit of its moment is kept beside the policy.
  const names = await Promise.all(cluster.nodes.map(({ home }) => readdir(path.join(home, 'config'))));
  const kept = names.flat().filter((name) => name.startsWith('access.yaml.conflict-'));
  process.stdout.write(`# ${kept.length} edits lost to another one\n`);
  assert.ok(kept.length >= ROUNDS / TOGETHER, `${kept.length}`);
});
