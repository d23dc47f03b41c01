/**
 * Runs the whole program for minutes while the Hub misbehaves, roles are killed, and policy, accounts and
 * certificates change, and judges every answer. It prints what it counted and every anomaly, and exits with 1
 * if there is one.
 *
 *   npm run soak                        ten minutes
 *   npm run soak -- --minutes 60 --seed 7
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { EVICTION, STANDARD_LIMITS } from '../../src/core/limits.ts';
import { Random } from '../crash/support/random.ts';
import { type RunningHubgate, startHubgate, WORKERS } from '../e2e/support/hubgate.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { freePort } from '../support/free-port.ts';
import { ACCOUNT } from '../support/test-core.ts';
import { waitFor } from '../support/wait-for.ts';
import { Catalogue } from './catalogue.ts';
import { SoakClient } from './client.ts';
import { Disruptions } from './disruptions.ts';
import { Findings } from './findings.ts';
import { misbehaveAtRandom } from './misbehaving-hub.ts';
import { operate } from './operator.ts';
import { Oracle } from './oracle.ts';
import { policyText, randomPolicy } from './policy.ts';
import { createPrincipals } from './principals.ts';
import { pull } from './puller.ts';
import { judgeAudit, judgeLog } from './records.ts';
import { Samples } from './samples.ts';
import { Timeline } from './timeline.ts';
import { Uses } from './uses.ts';

const PULLERS = 6;
const MIB = 2 ** 20;
const MAX_SIZE = 32 * MIB;
/**
 * The milliseconds for which content in use may keep the cache above its size: the core spares it, and looks
 * a little later. The last part is for a busy machine.
 */
const MAY_EXCEED_FOR = EVICTION.readWithin + STANDARD_LIMITS.sweepAfterGrowth + 4_000;
/** The bytes of a few images that were used by requests whose answers were lost. */
const USED_UNSEEN = 8 * MIB;
const TAG_FRESHNESS = 2_000;
const SAMPLE_INTERVAL = 5_000;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' } },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
const findings = new Findings();
print(`soak of ${values.minutes} minutes, seed ${seed}`);
const home = await mkdtemp(path.join(tmpdir(), 'hubgate-soak-'));
try {
  await soak(home, Number(values.minutes) * 60_000);
  findings.print(print);
  process.exitCode = findings.anomalies === 0 ? 0 : 1;
} finally {
  await rm(home, { recursive: true });
}

async function soak(directory: string, length: number): Promise<void> {
  const random = new Random(seed);
  await using hub = await FakeHub.start();
  hub.remaining = Number.MAX_SAFE_INTEGER;
  const catalogue = new Catalogue(hub, random);
  const privatePaths = catalogue.repositories.filter((one) => one.private).map((one) => one.path);
  hub.accounts.push({ ...ACCOUNT, repositories: privatePaths });
  const adminPort = await freePort();
  await using hubgate = await start(directory, hub, adminPort);
  const principals = await createPrincipals(hubgate);
  const policy = randomPolicy(catalogue.repositories, random);
  await writeFile(path.join(directory, 'config/access.yaml'), policyText(policy, principals));
  await delay(5_000);
  const ca = await readFile(path.join(directory, 'certs/ca.crt'), 'utf8');
  const oracle = new Oracle(new Timeline(policy), findings);
  const disruptions = new Disruptions(findings);
  const clients = principals.map((principal) => new SoakClient(principal, { port: hubgate.port, ca }));
  const samples = new Samples(hubgate.pid, directory, {
    files: ['data/partial', 'run', 'config', 'state'],
    databases: ['state/auth.db', 'state/auth.db-wal', 'data/index.db', 'data/index.db-wal'],
    content: 'data/blobs',
  });
  const signal = AbortSignal.timeout(length);
  const uses = new Uses();
  const common = { hubgate, principals, catalogue, oracle, findings, disruptions, clients, uses, signal };
  await Promise.all([
    operate({ ...common, random: random.fork(), tagFreshness: TAG_FRESHNESS }),
    misbehaveAtRandom(hub, random.fork(), signal),
    sampleUntil(signal, samples, { uses, disruptions }),
    ...Array.from({ length: PULLERS }, () => pull({ ...common, random: random.fork() })),
  ]);
  for (const client of clients) client.close();
  await judgeEnd({ hubgate, adminPort, samples, disruptions });
}

async function start(directory: string, hub: FakeHub, adminPort: number): Promise<RunningHubgate> {
  await mkdir(path.join(directory, 'config'));
  const passwordFile = path.join(directory, 'hub-password');
  await writeFile(passwordFile, ACCOUNT.password, { mode: 0o600 });
  return startHubgate(
    directory,
    (port) => `
server: { listen: "127.0.0.1:${port}", admin: "127.0.0.1:${adminPort}", workers: ${WORKERS} }
upstreams:
  docker.io: { url: ${hub.url.origin}, username: ${ACCOUNT.username}, passwordFile: ${passwordFile} }
cache: { maxSize: ${MAX_SIZE / MIB}MiB, tagFreshness: ${TAG_FRESHNESS / 1000}s }
token: { lifetime: 60s }
log: { format: json }
`,
  );
}

interface Causes {
  readonly uses: Uses;
  readonly disruptions: Disruptions;
}

async function sampleUntil(signal: AbortSignal, samples: Samples, causes: Causes): Promise<void> {
  while (!signal.aborted) {
    await samples.take();
    judgeSize(samples.last('content, bytes'), causes);
    await delay(SAMPLE_INTERVAL, undefined, { signal }).catch(() => {});
  }
}

interface End {
  readonly hubgate: RunningHubgate;
  readonly adminPort: number;
  readonly samples: Samples;
  readonly disruptions: Disruptions;
}

/** Judges what is left when nobody pulls any more: readiness, growth, the records. */
async function judgeEnd({ hubgate, adminPort, samples, disruptions }: End): Promise<void> {
  const readiness = await fetch(`http://127.0.0.1:${adminPort}/readyz`);
  if (readiness.status !== 200) findings.anomaly('it is not ready at the end', await readiness.text());
  await samples.take();
  samples.judge(findings);
  const answers = [200, 206, 401, 403, 404, 429, 502, 503, 504]
    .map((status) => findings.counted(`answers ${status}`))
    .reduce((sum, count) => sum + count, 0);
  disruptions.judgeRate(answers);
  await judgeLargest(samples, hubgate.output());
  judgeLog(hubgate.output(), findings);
  await judgeAudit(hubgate.home, answers, findings);
  samples.print(print);
}

/**
 * The cache may be larger than its size only if it holds nothing but what is in use. While a core starts
 * again, nobody uses anything and nothing is evicted.
 */
function judgeSize(size: number, { uses, disruptions }: Causes): void {
  const inUse = uses.within(MAY_EXCEED_FOR);
  if (disruptions.isRecent) return;
  if (size > Math.max(MAX_SIZE, inUse + USED_UNSEEN))
    findings.anomaly(
      'the cache is larger than cache.maxSize',
      `${inMib(size)}, of which ${inMib(inUse)} in use`,
    );
}

/** Judges whether an excess was reported, and whether the cache keeps its size once nobody uses it. */
async function judgeLargest(samples: Samples, log: string): Promise<void> {
  const largest = samples.largest('content, bytes');
  print(`the cache held ${inMib(largest)} of ${inMib(MAX_SIZE)} at most`);
  if (largest > MAX_SIZE * 1.25 && !log.includes('raise cache.maxSize'))
    findings.anomaly('the cache became larger than cache.maxSize without a word', inMib(largest));
  const begun = performance.now();
  await waitFor(async () => (await samples.contentSize()) <= MAX_SIZE);
  const took = performance.now() - begun;
  if (took > MAY_EXCEED_FOR)
    findings.anomaly('the cache stays larger than cache.maxSize', `for ${(took / 1000).toFixed(0)} s`);
}

function inMib(bytes: number): string {
  return `${(bytes / MIB).toFixed(0)} MiB`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
