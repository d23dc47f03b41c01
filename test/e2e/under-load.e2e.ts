import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ensureServerCertificate } from '../../src/pki/local-ca.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { ask } from '../support/http.ts';
import { imageOf } from '../support/image.ts';
import { basic } from '../support/test-hubgate.ts';
import { waitFor } from '../support/wait-for.ts';
import { type RunningHubgate, startHubgate, WORKERS } from './support/hubgate.ts';
import { peersOf, roleProcesses } from './support/role-pids.ts';
import { type Failure, type LoadRequest, SteadyLoad } from './support/steady-load.ts';

const RATE = 200;
const RELOADS = 50;
const KILLS = 20;
/** Milliseconds; a role is killed again only when it has proved to be stable. */
const BETWEEN_KILLS = 2_500;
/** Milliseconds in which connections at a killed gateway end. */
const MOMENT = 1_000;
const BETWEEN_RELOADS = (BETWEEN_KILLS * KILLS) / RELOADS;
const PASSWORD = 's3cret-of-ana';

const stack = new AsyncDisposableStack();
let hubgate: RunningHubgate;
let ca: string;
let requests: readonly LoadRequest[];

before(async () => {
  const home = await mkdtemp(path.join(tmpdir(), 'hubgate-load-'));
  stack.defer(() => rm(home, { recursive: true, force: true }));
  const hub = stack.use(await FakeHub.start());
  const image = imageOf({ size: 100_000 });
  hub.push('library/app', 'latest', image);
  await mkdir(path.join(home, 'config'));
  hubgate = stack.use(
    await startHubgate(
      home,
      (port) => `
server: { listen: "127.0.0.1:${port}", admin: "127.0.0.1:0", workers: ${WORKERS} }
upstreams: { docker.io: { url: ${hub.url.origin} } }
cache: { tagFreshness: 1h }
log: { format: json }
`,
    ),
  );
  await hubgate.addUser('ana', PASSWORD);
  ca = await readFile(path.join(home, 'certs/ca.crt'), 'utf8');
  const login = { authorization: basic('ana', PASSWORD) };
  const scope = 'repository:library/app:pull';
  const issued = await get(`/token?service=localhost:${hubgate.port}&scope=${scope}`, login);
  const bearer = { authorization: `Bearer ${JSON.parse(issued).token}` };
  const at = `/v2/library/app`;
  const [layer] = image.layers;
  requests = [
    { path: '/v2/', headers: bearer, length: 2 },
    { path: `${at}/manifests/latest`, headers: bearer, length: image.bytes.length },
    { path: `${at}/manifests/${image.digest}`, headers: login, length: image.bytes.length },
    { path: `${at}/blobs/${layer}`, headers: bearer, length: 100_000 },
    { path: `/token?service=localhost:${hubgate.port}&scope=${scope}`, headers: login, length: 100 },
  ];
  for (const { path: target, headers } of requests) await get(target, headers);
});

after(() => stack.disposeAsync());

async function get(target: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const options = { tls: true, host: 'localhost', port: hubgate.port, ca, path: target, headers };
  const { status, body } = await ask({ ...options, agent: false });
  assert.equal(status, 200, target);
  return body.toString();
}

test(`${RELOADS} certificates and ${KILLS} kills of roles under ${RATE} requests/s: no handshake fails, and no request but in a killed worker`, async (t) => {
  await using load = new SteadyLoad({ port: hubgate.port, ca, rate: RATE, requests: () => requests });
  const [, { lost, kills }] = await Promise.all([replaceCertificates(), killRoles(t)]);
  await load.stop();
  const excused = load.failures.filter(
    ({ port, secure, at }) => (port !== undefined && lost.has(port)) || (!secure && isAfterKill(at, kills)),
  );
  const failed = load.failures.filter((failure) => !excused.includes(failure));
  t.diagnostic(
    `${load.sent} requests, ${load.handshakes} handshakes, ${excused.length} lost with a killed worker`,
  );
  assert.deepEqual(failed.map(inWords), []);
  // A busy machine gets fewer requests, but never only a few.
  assert.ok(load.sent > (RATE * KILLS * BETWEEN_KILLS) / 1000 / 8);
});

function inWords({ path: target, reason, secure, port }: Failure): string {
  return `${target} ${reason} ${secure ? '' : 'in the handshake'} ${port}`;
}

/** The pair is two files; each is replaced at once, as by a renewal. */
async function replaceCertificates(): Promise<void> {
  const at = (name: string) => path.join(hubgate.home, 'certs', name);
  const reloads = () => hubgate.output().split('certificate, or client authorities, changed').length - 1;
  for (let number = 1; number <= RELOADS; number++) {
    const made = { certificate: at('next.crt'), key: at('next.key') };
    await ensureServerCertificate({
      ca: { certificate: at('ca.crt'), key: at('ca.key') },
      server: made,
      names: ['localhost', `reload-${number}`],
      clock: Date.now,
    });
    const before = reloads();
    await rename(made.key, at('server.key'));
    await rename(made.certificate, at('server.crt'));
    await waitFor(() => reloads() > before);
    await delay(BETWEEN_RELOADS / 2);
  }
}

/**
 * True for a connection that ended in its handshake when a gateway was killed. Each gateway listens for
 * itself, so the kernel resets what waits at the socket of one that dies, and a client tries again (decision
 * 7).
 */
function isAfterKill(at: number, kills: readonly Kill[]): boolean {
  return kills.some(({ stopped, ended }) => at >= stopped && at < ended + MOMENT);
}

/** The monotonic times at which a gateway was stopped, and at which its process had ended. */
interface Kill {
  readonly stopped: number;
  readonly ended: number;
}

interface Killed {
  /** The clients' ports of the connections that the killed gateways held. */
  readonly lost: ReadonlySet<number>;
  readonly kills: readonly Kill[];
}

async function killRoles(t: TestContext): Promise<Killed> {
  const lost = new Set<number>();
  const kills: Kill[] = [];
  const turns = ['core', 'gateway', 'auth', 'gateway'];
  const back: number[] = [];
  for (let number = 0; number < KILLS; number++) {
    const role = turns[number % turns.length];
    const running = await roleProcesses(hubgate.pid);
    const same = running.filter((one) => one.role === role);
    const victim = same[Math.floor(number / 2) % same.length];
    assert.ok(victim, `${role} runs`);
    // Stopped first: which connections are lost with it is then known.
    const stopped = performance.now();
    process.kill(victim.pid, 'SIGSTOP');
    for (const port of await peersOf(victim.pid, hubgate.port)) lost.add(port);
    process.kill(victim.pid, 'SIGKILL');
    const killed = performance.now();
    await waitFor(() => !isAlive(victim.pid));
    if (role === 'gateway') kills.push({ stopped, ended: performance.now() });
    await waitFor(() => hubgate.output().split('the role serves again').length - 1 > number);
    const took = performance.now() - killed;
    back.push(took);
    await delay(Math.max(0, BETWEEN_KILLS - took));
  }
  t.diagnostic(`serves again after ${Math.round(Math.max(...back))} ms at most`);
  return { lost, kills };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
