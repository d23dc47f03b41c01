/**
 * Runs the whole program for minutes while clients push, tag, mount, sign, delete and pull, and while content
 * is collected and roles are killed, and judges every answer. It prints what it counted and every anomaly,
 * and exits with 1 if there is one.
 *
 *   npm run soak:push                        ten minutes
 *   npm run soak:push -- --minutes 60 --seed 7
 */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Random } from '../crash/support/random.ts';
import { type RunningHubgate, startHubgate, WORKERS } from '../e2e/support/hubgate.ts';
import { freePort } from '../support/free-port.ts';
import { Findings } from './findings.ts';
import { Contents } from './push/content.ts';
import { deleteUntil } from './push/deleter.ts';
import { judgeEnd } from './push/end.ts';
import { operatePush } from './push/operator.ts';
import { PushOracle } from './push/oracle.ts';
import { Outages } from './push/outages.ts';
import {
  createClients,
  HOSTED_CONFIGURATION,
  mayPull,
  OPEN_REPOSITORIES,
  PUSH_POLICY,
  REPOSITORIES,
} from './push/principals.ts';
import { pushUntil } from './push/pusher.ts';
import { readUntil } from './push/reader.ts';
import { judgeLog } from './records.ts';
import { Samples } from './samples.ts';

const PUSHERS = 4;
const READERS = 3;
const SAMPLE_INTERVAL = 5_000;
const SHORT_TIMES = pathToFileURL(path.join(import.meta.dirname, 'push/fixtures/short-times.ts'));

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string' } },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
const findings = new Findings();
print(`soak of pushes of ${values.minutes} minutes, seed ${seed}`);
const home = await mkdtemp(path.join(tmpdir(), 'hubgate-push-soak-'));
try {
  await soak(home, Number(values.minutes) * 60_000);
  findings.print(print);
  process.exitCode = findings.anomalies === 0 ? 0 : 1;
} finally {
  await rm(home, { recursive: true });
}

async function soak(directory: string, length: number): Promise<void> {
  const random = new Random(seed);
  const contents = new Contents(random.fork());
  const adminPort = await freePort();
  await using hubgate = await start(directory, adminPort);
  await hubgate.setPolicy(PUSH_POLICY);
  const ca = await readFile(path.join(directory, 'certs/ca.crt'), 'utf8');
  const outages = new Outages(findings);
  const clients = await createClients(hubgate, { port: hubgate.port, ca, findings, outages });
  const { release, outsider } = clients;
  const builds = [clients['build-1'], clients['build-2'], clients['build-3']];
  const samples = new Samples(hubgate.pid, directory, {
    files: ['hosted/uploads', 'hosted/blobs', 'run', 'state'],
    databases: ['state/auth.db', 'hosted/hosted.db', 'hosted/hosted.db-wal'],
    content: 'hosted/blobs',
  });
  const signal = AbortSignal.timeout(length);
  const surroundings = { contents, outages, findings, signal, mayPull, oracle: new PushOracle(findings) };
  const open = { ...surroundings, repositories: OPEN_REPOSITORIES };
  const all = { ...surroundings, repositories: REPOSITORIES };
  const operator = { ...all, hubgate, adminPort, length, random: random.fork() };
  const party = () => ({ random: random.fork() });
  await Promise.all([
    operatePush(operator),
    sampleUntil(signal, samples),
    ...Array.from({ length: PUSHERS }, () =>
      pushUntil({ ...all, ...party(), clients: builds, targets: OPEN_REPOSITORIES }),
    ),
    pushUntil({ ...all, ...party(), clients: [release], targets: REPOSITORIES }),
    deleteUntil({ ...all, ...party(), client: release, targets: REPOSITORIES }),
    ...Array.from({ length: READERS }, () =>
      readUntil({
        ...open,
        ...party(),
        clients: [clients['reader-1'], clients['reader-2'], ...builds],
        outsider,
      }),
    ),
    readUntil({ ...all, ...party(), clients: [release], outsider }),
  ]);
  await samples.take();
  samples.judge(findings);
  outages.judge(findings.counted('requests'));
  await judgeEnd({ ...operator, client: release });
  for (const client of Object.values(clients)) client.close();
  judgeLog(hubgate.output(), findings);
  samples.print(print);
}

async function start(directory: string, adminPort: number): Promise<RunningHubgate> {
  await mkdir(path.join(directory, 'config'));
  const preload = `if (process.argv.includes('core')) await import('${SHORT_TIMES}');`;
  return startHubgate(
    directory,
    (port) => `
server: { listen: "127.0.0.1:${port}", admin: "127.0.0.1:${adminPort}", workers: ${WORKERS} }
upstreams: { docker.io: { url: "http://127.0.0.1:1" } }
token: { lifetime: 60s }
log: { format: json }
${HOSTED_CONFIGURATION}`,
    { env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` } },
  );
}

async function sampleUntil(signal: AbortSignal, samples: Samples): Promise<void> {
  while (!signal.aborted) {
    await samples.take();
    await delay(SAMPLE_INTERVAL, undefined, { signal }).catch(() => {});
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
