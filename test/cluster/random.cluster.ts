/**
 * Kills, freezes and restarts nodes, the database and the object store at random while clients pull and push.
 * At the end everything that was published or pushed must still be there.
 * `npm run soak:cluster -- --kills 200` does it longer.
 */
import assert from 'node:assert/strict';
import { access, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Random } from '../crash/support/random.ts';
import { assertBytes } from '../support/assert-bytes.ts';
import type { LogEntry } from '../support/fake-hub.ts';
import { imageOf, type TestImage } from '../support/image.ts';
import type { RunningMirror } from '../support/running-mirror.ts';
import { waitFor } from '../support/wait-for.ts';
import { DISRUPTIONS, disruptionsOf } from './support/disruptions.ts';
import { type ObjectServer, settingsOf, startVersity, whyNoServer } from './support/object-servers.ts';
import { HOSTED, PUSH_RULE, Pushes } from './support/pushes.ts';
import { PASSWORD, TestNodes } from './support/test-nodes.ts';

const EVENTS = Number(process.env.CLUSTER_EVENTS ?? 10);
/** Every caller may pull everything that is public, and whoever is logged in also what is private. */
const RULES = `version: 1
allow:
  - { id: all, pull: "acme/**", to: authenticated, private: true }
  - { id: open, pull: "acme/**", to: anonymous }
`;
const POLICY = `${RULES}...\n`;
const PUBLIC = 'acme/open';
const PRIVATE = 'acme/secret';
/** The milliseconds after which a client gives up one request, which is no hang yet: it asks again. */
const PATIENCE = 30_000;
/** A download takes so many pieces that an event finds it under way. */
const SLOWLY = { kind: 'drip', bytes: 64 * 1024, every: 15 } as const;

interface Round {
  readonly repository: string;
  readonly image: TestImage;
  isPulled: boolean;
}

/** What clients were told, and what they must not be told. */
class Findings {
  readonly statuses = new Map<string, number>();
  readonly faults: string[] = [];
  longest = 0;

  count(what: string): void {
    this.statuses.set(what, (this.statuses.get(what) ?? 0) + 1);
  }
}

const seed = Number(process.env.CRASH_SEED ?? 20);

test(`${EVENTS} random events cost no pull, no secret, and few bytes; CRASH_SEED=${seed}`, {
  timeout: 60_000 + EVENTS * 20_000,
}, async () => {
  await using cluster = await TestNodes.start({}, POLICY);
  const rounds = await pullThrough(cluster, DISRUPTIONS);
  await checkDatabase(cluster);
  await checkAllIsThere(cluster, rounds);
});

test(`${EVENTS} random events with an object store lose nothing either; CRASH_SEED=${seed}`, {
  timeout: 60_000 + EVENTS * 20_000,
  skip: await whyNoServer('versitygw'),
}, async () => {
  await using s3 = await startVersity();
  await using cluster = await TestNodes.start(settingsOf(s3), `${RULES}${PUSH_RULE}...\n`, HOSTED);
  const pushes = new Pushes(cluster);
  const rounds = await pullThrough(cluster, { ...DISRUPTIONS, ...disruptionsOf(s3) }, pushes);
  await checkDatabase(cluster);
  await checkObjects(cluster, s3, rounds);
  assert.equal(pushes.count, EVENTS);
  await pushes.check(s3);
  await checkAllIsThere(cluster, rounds);
});

/**
 * Publishes an image for each event at the Hub, and pulls it through all nodes while the event comes. If the
 * cluster hosts repositories, an image is pushed meanwhile too.
 */
async function pullThrough(
  cluster: TestNodes,
  disruptions: typeof DISRUPTIONS,
  pushes?: Pushes,
): Promise<readonly Round[]> {
  const { hub } = cluster;
  hub.isLimited = false;
  await cluster.add('zoe');
  for (const index of cluster.nodes.keys()) await cluster.login(index, 'zoe');
  hub.plant('cdn', /^GET/, SLOWLY);
  const findings = new Findings();
  const random = new Random(seed);
  const rounds: Round[] = [];
  const pulling: Promise<unknown>[] = [];
  const met = new Set<LogEntry>();
  for (let event = 0; event < EVENTS; event++) {
    const round = pushRound(cluster, random);
    rounds.push(round);
    const pushed = pushes?.push(`v${event}`, [random.bytes(random.size(10_000, 1_500_000))]);
    const pulled = Promise.all([pullEverywhere(cluster, round, findings), pushed]);
    pulling.push(pulled);
    pulled.catch(() => {});
    await begunOrOver(cluster, round);
    const what = random.pick(Object.keys(disruptions));
    for (const entry of hub.log) if (entry.server === 'cdn' && entry.status === 0) met.add(entry);
    const disrupt = disruptions[what] ?? assert.fail();
    const end = await disrupt(cluster, random);
    // Nobody knows how soon the others go on, and a frozen database stops everybody.
    await Promise.race([pulled, new Promise((resolve) => setTimeout(resolve, random.size(100, 6_000)))]);
    await end();
    // Some events come while the pulls of the event before are still under way.
    if (random.chance(0.7)) await pulled;
  }
  await Promise.all(pulling);
  hub.heal();
  assert.deepEqual(findings.faults, []);
  reportBytes(cluster, rounds, met, findings);
  return rounds;
}

function pushRound({ hub }: TestNodes, random: Random): Round {
  const layers = [random.bytes(random.size(10_000, 1_500_000)), random.bytes(random.size(10_000, 1_500_000))];
  const isPrivate = random.chance(0.4);
  const [repository, image] = [isPrivate ? PRIVATE : PUBLIC, imageOf({ layers })];
  hub.push(repository, 'latest', image, { private: isPrivate });
  return { repository, image, isPulled: false };
}

/** Resolves when the download of a blob has begun, or when everybody has everything. */
function begunOrOver({ hub }: TestNodes, round: Round): Promise<void> {
  const digests = [...round.image.blobs.keys()];
  return waitFor(
    () =>
      round.isPulled ||
      hub.log.some((entry) => {
        return entry.server === 'cdn' && entry.bytes > 0 && digests.some((one) => entry.path.includes(one));
      }),
  );
}

/** Pulls an image through all nodes, and asks for it without a login too. */
async function pullEverywhere(cluster: TestNodes, round: Round, findings: Findings): Promise<void> {
  const clients = cluster.nodes.map(async (node) => {
    const all = [...round.image.blobs].map(([digest, bytes]) => ({ path: `blobs/${digest}`, bytes }));
    const manifest = { path: `manifests/${round.image.digest}`, bytes: round.image.bytes };
    await pull(node, round, manifest, findings);
    await Promise.all([
      ...all.map((one) => pull(node, round, one, findings)),
      ...[manifest, ...all].map((one) => pry(node, round, one, findings)),
    ]);
  });
  await Promise.all(clients);
  round.isPulled = true;
}

interface Wanted {
  readonly path: string;
  readonly bytes: Buffer;
}

/** Asks until it gets the bytes. */
async function pull(node: RunningMirror, round: Round, wanted: Wanted, findings: Findings): Promise<void> {
  const begun = performance.now();
  for (;;) {
    const token = await tokenOf(node, round.repository, `zoe:${PASSWORD}`);
    const answer = await ask(node, `/v2/${round.repository}/${wanted.path}`, token);
    findings.count(answer === undefined ? 'broken off' : String(answer.status));
    if (answer?.status === 200) {
      if (!answer.body.equals(wanted.bytes)) findings.faults.push(`wrong bytes of ${wanted.path}`);
      break;
    }
    if (answer?.status === 404 || answer?.status === 403)
      findings.faults.push(`${answer.status} for ${round.repository}/${wanted.path}: ${answer.body}`);
    await pause();
  }
  findings.longest = Math.max(findings.longest, performance.now() - begun);
}

/** Asks once without a login, also for what is private in the repository that is public. */
async function pry(node: RunningMirror, round: Round, { path: wanted }: Wanted, findings: Findings) {
  if (round.repository !== PRIVATE) return;
  for (const repository of [PRIVATE, PUBLIC]) {
    const token = await tokenOf(node, repository);
    const answer = await ask(node, `/v2/${repository}/${wanted}`, token);
    if (answer?.status === 200) findings.faults.push(`anonymous got ${repository}/${wanted}`);
  }
}

/** Asks for a token once; undefined if there is none now. */
async function tokenOf(node: RunningMirror, repository: string, login?: string): Promise<string | undefined> {
  const target = `/token?service=mirror.corp&scope=repository:${repository}:pull`;
  const authorization = login && `Basic ${Buffer.from(login).toString('base64')}`;
  const headers = authorization === undefined ? {} : { authorization };
  const answer = await node
    .ask(target, { headers, signal: AbortSignal.timeout(PATIENCE) })
    .catch(() => undefined);
  return answer?.status === 200 ? JSON.parse(answer.body.toString()).token : undefined;
}

function ask(node: RunningMirror, target: string, token = '') {
  const headers = { authorization: `Bearer ${token}` };
  return node.ask(target, { headers, signal: AbortSignal.timeout(PATIENCE) }).catch(() => undefined);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 100));
}

/** What an event may have cost at most: the downloads that it met. The rest is sent once. */
function reportBytes(
  { hub }: TestNodes,
  rounds: readonly Round[],
  met: ReadonlySet<LogEntry>,
  findings: Findings,
): void {
  const sizes = rounds.flatMap(({ image }) => [...image.blobs.values()]).map(({ length }) => length);
  const content = sum(sizes);
  const sent = sum(hub.log.filter(({ server }) => server === 'cdn').map(({ bytes }) => bytes));
  process.stdout.write(
    `# ${JSON.stringify({
      events: rounds.length,
      answers: Object.fromEntries(findings.statuses),
      longestPull: `${Math.round(findings.longest)} ms`,
      upstream: `${(sent / content).toFixed(3)} times the content`,
    })}\n`,
  );
  const lost = sum([...met].map(({ bytes }) => bytes));
  assert.ok(sent <= 1.05 * content + lost, `${sent} bytes for ${content}, of which ${lost} were met`);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** All nodes have everything now, so a copy without its file stays wrong. */
async function checkDatabase({ server, nodes, database }: TestNodes): Promise<void> {
  // A node is always on duty for what is hosted.
  const leased =
    "SELECT count(*) FROM hubgate.download WHERE lease_until > now() AND digest NOT LIKE 'duty %'";
  await waitFor(() => server.run(leased, database).trim() === '0');
  const rows = server.run('SELECT node, digest FROM hubgate.copy', database).trim().split('\n');
  for (const row of rows) {
    const [id = '', digest = ''] = row.split('|');
    const hex = digest.split(':')[1] ?? '';
    const home = nodes[Number(id.slice(1)) - 1]?.home ?? assert.fail(row);
    await access(path.join(home, 'data/blobs/sha256', hex.slice(0, 2), hex));
  }
}

/** Every blob that was pulled is in the store, and no row names an object that is not there. */
async function checkObjects(
  { server, database }: TestNodes,
  s3: ObjectServer,
  rounds: readonly Round[],
): Promise<void> {
  const blobs = new Map(rounds.flatMap(({ image }) => [...image.blobs]));
  let rows: readonly string[] = [];
  await waitFor(() => {
    rows = server.run('SELECT digest, key FROM hubgate.object', database).trim().split('\n');
    return rows.length === blobs.size;
  });
  for (const row of rows) {
    const [digest = '', key = ''] = row.split('|');
    const bytes = await readFile(path.join(s3.bucket ?? assert.fail(), key));
    assertBytes(bytes, blobs.get(digest as Round['image']['digest']) ?? assert.fail(row));
  }
}

/** What was published is served by every node after a restart, without the Hub. */
async function checkAllIsThere(cluster: TestNodes, rounds: readonly Round[]): Promise<void> {
  await cluster.hub.stop();
  for (const node of cluster.nodes) {
    assert.equal(await node.stop(), 0, node.output.slice(-2000));
    await node.startAgain();
  }
  const findings = new Findings();
  await Promise.all(rounds.map((round) => pullEverywhere(cluster, round, findings)));
  assert.deepEqual(findings.faults, []);
  for (const node of cluster.nodes) assert.equal(await node.stop(), 0, node.output.slice(-2000));
}
