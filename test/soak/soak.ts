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
import { Random } from '../crash/support/random.ts';
import { type RunningHubgate, startHubgate, WORKERS } from '../e2e/support/hubgate.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { freePort } from '../support/free-port.ts';
import { ACCOUNT } from '../support/test-core.ts';
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

const PULLERS = 6;
const MAX_SIZE_MIB = 32;
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
  const common = { hubgate, principals, catalogue, oracle, findings, disruptions, clients, signal };
  await Promise.all([
    operate({ ...common, random: random.fork(), tagFreshness: TAG_FRESHNESS }),
    misbehaveAtRandom(hub, random.fork(), signal),
    sampleUntil(signal, samples),
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
cache: { maxSize: ${MAX_SIZE_MIB}MiB, tagFreshness: ${TAG_FRESHNESS / 1000}s }
token: { lifetime: 60s }
log: { format: json }
`,
  );
}

async function sampleUntil(signal: AbortSignal, samples: Samples): Promise<void> {
  while (!signal.aborted) {
    await samples.take();
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
  const largest = samples.largest('content, bytes') / 2 ** 20;
  print(`the cache held ${largest.toFixed(0)} of ${MAX_SIZE_MIB} MiB at most`);
  const isSaid = hubgate.output().includes('raise cache.maxSize');
  if (largest > MAX_SIZE_MIB * (isSaid ? 2 : 1.25))
    findings.anomaly('the cache is larger than cache.maxSize', `${largest.toFixed(0)} MiB`);
  judgeLog(hubgate.output(), findings);
  await judgeAudit(hubgate.home, answers, findings);
  samples.print(print);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
