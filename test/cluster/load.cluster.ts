/** A hundred pulls a second go on while the database starts again. No answer is beyond the table of failures in docs/cluster.md. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { imageOf, type TestImage } from '../support/image.ts';
import { waitFor } from '../support/wait-for.ts';
import { pullFrom, TestNodes } from './support/test-nodes.ts';

/** The milliseconds between two pulls, and the most that are under way. */
const EVERY = 10;
const AT_ONCE = 100;
/** One of so many pulls is of content that no node has. */
const NEW = 25;
/** The pulls before the database goes, and after it is back. */
const AROUND = 150;

let cluster: TestNodes;
let token: string;
const fresh: TestImage[] = [];

before(async () => {
  cluster = await TestNodes.start();
  cluster.hub.isLimited = false;
  await cluster.add('zoe');
  token = await cluster.login(1, 'zoe');
});

after(() => cluster[Symbol.asyncDispose]());

interface Counts {
  pulls: number;
  /** The answers other than 200 to what is on the disks of the nodes. */
  readonly known: string[];
  /** Those to what is new, except for 503 with the time after which a client asks again. */
  readonly unknown: string[];
  refused: number;
}

/** Pulls content that all nodes have, or for the first time an image that nobody has. */
async function pullOne(turn: number, known: readonly string[], counts: Counts): Promise<void> {
  const node = cluster.node(turn % cluster.nodes.length);
  const image = turn % NEW === 0 ? fresh.pop() : undefined;
  const path = image === undefined ? known[turn % known.length] : `acme/app/manifests/${image.digest}`;
  const answer = await pullFrom(node, token, path ?? assert.fail()).catch((error: Error) => error);
  counts.pulls++;
  if (!(answer instanceof Error) && answer.status === 200) return;
  const said = answer instanceof Error ? answer.message : `${answer.status} ${answer.body}`;
  if (image === undefined) counts.known.push(said);
  else if (!(answer instanceof Error) && answer.status === 503 && Number(answer.headers['retry-after']) > 0)
    counts.refused++;
  else counts.unknown.push(said);
}

test('a database that starts again under a hundred pulls a second costs what the table of failures says', async () => {
  const image = imageOf({ size: 20_000 });
  cluster.hub.push('acme/app', 'latest', image);
  const known = ['manifests/latest', `manifests/${image.digest}`, `blobs/${image.layers[0]}`].map(
    (below) => `acme/app/${below}`,
  );
  for (const node of cluster.nodes)
    for (const path of known) await waitFor(async () => (await pullFrom(node, token, path)).status === 200);
  for (let index = 0; index < 100; index++) {
    const next = imageOf({ size: 100 });
    cluster.hub.push('acme/app', `v${index}`, next);
    fresh.push(next);
  }
  const counts: Counts = { pulls: 0, known: [], unknown: [], refused: 0 };
  const running = new Set<Promise<void>>();
  let isOver = false;
  const begun = performance.now();
  const pulling = (async () => {
    for (let turn = 1; !isOver; turn++) {
      if (running.size < AT_ONCE) {
        const pull: Promise<void> = pullOne(turn, known, counts).finally(() => running.delete(pull));
        running.add(pull);
      }
      await delay(EVERY);
    }
    await Promise.all(running);
  })();
  const more = async (pulls: number) => {
    const from = counts.pulls;
    await waitFor(() => counts.pulls >= from + pulls);
  };
  try {
    await more(AROUND);
    await cluster.server.stop();
    await more(AROUND);
    await cluster.server.start();
    await more(AROUND);
  } finally {
    isOver = true;
    await pulling;
  }
  const rate = Math.round((1000 * counts.pulls) / (performance.now() - begun));
  process.stdout.write(
    `# ${counts.pulls} pulls, ${rate} a second; ${counts.refused} of new content were told to wait\n`,
  );
  assert.deepEqual(counts.known, []);
  assert.deepEqual(counts.unknown, []);
  const last = imageOf({ size: 100 });
  cluster.hub.push('acme/app', 'last', last);
  for (const node of cluster.nodes)
    await waitFor(async () => (await pullFrom(node, token, 'acme/app/manifests/last')).status === 200);
});
