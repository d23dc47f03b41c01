/**
 * Measures whether a flood of wrong logins slows pulls. It starts the mirror as it runs in production, pulls
 * a cached blob repeatedly, first undisturbed and then while 200 logins a second fail, from one name and from
 * many, and compares the 99th percentiles.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setInterval } from 'node:timers/promises';
import { FakeHub } from '../test/support/fake-hub.ts';
import { freePort } from '../test/support/free-port.ts';
import { ask } from '../test/support/http.ts';
import { imageOf } from '../test/support/image.ts';
import { ACCOUNT } from '../test/support/test-core.ts';
import { basic } from '../test/support/test-hubgate.ts';

const SECONDS = Number(process.argv[2] ?? 30);
const LOGINS_A_SECOND = 200;
const BLOB = 100 * 1024;
const MOST = 2;
const BIN = path.join(import.meta.dirname, '../src/bin/hubgate.ts');

const home = await mkdtemp(path.join(tmpdir(), 'hubgate-flood-'));
await using hub = await FakeHub.start();
hub.accounts.push({ ...ACCOUNT, repositories: [] });
const image = imageOf({ size: BLOB });
hub.push('library/alpine', 'latest', image);
const port = await freePort();

function hubgate(...args: string[]) {
  const { HOME, PATH } = process.env;
  const settings = {
    HUBGATE_SERVER_LISTEN: `127.0.0.1:${port}`,
    HUBGATE_SERVER_ADMIN: '127.0.0.1:0',
    REGISTRY_PROXY_REMOTEURL: hub.url.origin,
  };
  return spawn(process.execPath, [BIN, ...args, '--home', home], { env: { HOME, PATH, ...settings } });
}

async function addUser(name: string): Promise<void> {
  const child = hubgate('user', 'add', name, '--password-stdin');
  child.stdin.end('right');
  await Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)]);
}

await addUser('ana');
await addUser('jin');
const mirror = hubgate('start');
await new Promise<void>((resolve) => {
  mirror.stdout.on('data', (chunk) => String(chunk).includes('docker pull') && resolve());
});
const ca = await readFile(path.join(home, 'certs/ca.crt'), 'utf8');
const agent = new Agent({ keepAlive: true, maxSockets: 8, ca });
const loginAgent = new Agent({ keepAlive: true, maxSockets: 64, ca });
const send = (target: string, authorization: string, by = agent) =>
  ask({ tls: true, host: 'localhost', port, path: target, agent: by, headers: { authorization } });

const { body } = await send('/token?scope=repository:library/alpine:pull', basic('ana', 'right'));
const bearer = `Bearer ${JSON.parse(body.toString()).token}`;
const layer = `/v2/library/alpine/blobs/${image.layers[0]}`;
await send(layer, bearer);

/** Returns the milliseconds of each pull that four clients make in this many seconds. */
async function pulls(seconds: number): Promise<number[]> {
  const times: number[] = [];
  const until = performance.now() + seconds * 1000;
  const client = async () => {
    while (performance.now() < until) {
      const begun = performance.now();
      const { status } = await send(layer, bearer);
      if (status !== 200) throw new Error(`a pull came to ${status}`);
      times.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: 4 }, client));
  return times.sort((a, b) => a - b);
}

/** Sends wrong logins until it is aborted, and returns how often each status came. */
async function flood(name: (turn: number) => string, signal: AbortSignal): Promise<Map<number, number>> {
  const statuses = new Map<number, number>();
  const begun = performance.now();
  let turn = 0;
  const logIn = () => {
    const login = basic(name(turn), `wrong ${turn++}`);
    void send('/token?service=x', login, loginAgent).then(
      ({ status }) => statuses.set(status, (statuses.get(status) ?? 0) + 1),
      () => {},
    );
  };
  try {
    for await (const _ of setInterval(5, undefined, { signal })) {
      const due = ((performance.now() - begun) / 1000) * LOGINS_A_SECOND;
      while (turn < due) logIn();
    }
  } catch {
    // The flood is over.
  }
  return statuses;
}

const p99 = (times: readonly number[]) => times[Math.floor(times.length * 0.99)] ?? 0;
const print = (line: string) => process.stdout.write(`${line}\n`);

await pulls(3);
const quiet = p99(await pulls(SECONDS));
print(`quiet: p99 of a cached ${BLOB / 1024} KiB blob ${quiet.toFixed(1)} ms`);
for (const [what, name] of [
  ['one name', () => 'ana'],
  ['many names', (turn: number) => `user-${turn % 1000}`],
] as const) {
  const ending = new AbortController();
  const flooding = flood(name, ending.signal);
  const measured = pulls(SECONDS);
  const { status } = await send('/token?service=x', basic('jin', 'right'));
  const times = await measured;
  ending.abort();
  const statuses = [...(await flooding)].map(([code, count]) => `${count} × ${code}`).join(', ');
  const ratio = p99(times) / quiet;
  print(
    `${LOGINS_A_SECOND} wrong logins/s of ${what}: p99 ${p99(times).toFixed(1)} ms, ${ratio.toFixed(2)} × quiet (at most ${MOST}); logins: ${statuses}; another’s login meanwhile: ${status}`,
  );
  if (ratio > MOST || status !== 200) process.exitCode = 1;
}
agent.destroy();
loginAgent.destroy();
mirror.kill('SIGTERM');
await once(mirror, 'exit');
await rm(home, { recursive: true });
