import { createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { openBudgets } from '../../src/core/budget/budgets.ts';
import type { Spender } from '../../src/core/budget/spender.ts';
import { DOCKER_HUB } from '../../src/registry/repository.ts';
import { ask } from '../../test/support/http.ts';
import { QUIET } from '../../test/support/test-core.ts';
import type { Bench, CaseGroup } from '../bench.ts';
import { ACCEPT, KIB, manifestPath } from '../content.ts';
import { fetchVerified } from '../load/verified.ts';
import { runWrk } from '../load/wrk.ts';
import { median } from '../results.ts';
import { HUBGATE, type HubgateServer, policyText, startBenchHubgate } from '../servers/hubgate.ts';

const LIMITS = 100;
const CONNECTIONS = 32;
/** The number of layers of the manifest. */
const LAYERS = 10;
const DECISIONS = 100_000;
const WARM_UP = 20_000;
/** With all limits, a decision takes much longer. */
const FEWER = 10;
const SUBJECTS = 1_000;
/** The number of limits that apply to one subject. */
const APPLYING = [3, LIMITS];
const AUDIT_LINES = 1_000_000;
const QUICK_AUDIT_LINES = 100_000;
/** After this many answers in a row, both gateways have answered. */
const IN_A_ROW = 12;
/** In milliseconds. */
const ASK_EVERY = 25;

/**
 * Measures what limits cost: a cached manifest, a decision of the core, and the report of who used a quota.
 */
export const BUDGET: CaseGroup = {
  name: 'budget',
  title: 'Limits, and the report of who used the quota',
  rounds: { full: 15, quick: 2 },
  programs: ['wrk'],
  async run(bench) {
    for (const applying of APPLYING) await measureDecisions(bench, applying);
    if (!bench.settings.kinds.includes(HUBGATE)) return;
    await using server = await startBenchHubgate(await bench.options([]));
    await measureReport(bench, server);
    await using other = await startBenchHubgate(await bench.options([]));
    await measureCached(bench, [server, other]);
  },
};

const COMPARED = `cached manifest, ${LIMITS} limits to none`;

/** A policy with limits that all apply to the user of the measurements, or without any. */
function policyWith(limits: number): string {
  const marker = `deny:\n  - { pull: library/marker, to: authenticated, because: with-${limits}-limits }`;
  const entries = Array.from(
    { length: limits },
    (_, index) => `  - { id: l${index}, to: authenticated, each: ${index % 2 === 0}, pulls: 1000000/24h }\n`,
  ).join('');
  const reserve = 'reserve:\n  - { id: prod, upstream: docker.io, keep: 20%, for: "cert:prod-*" }\n';
  const text = policyText({ rules: 100, users: 1000 }).replace('deny:', marker);
  return limits === 0 ? text : text.replace(/\.\.\.\n$/, `limits:\n${entries}${reserve}...\n`);
}

/**
 * Loads two servers at the same time, one with limits and one without, and then the other way round. So both
 * have the same share of a machine that others use, and a server that is slower than the other one counts on
 * both sides.
 */
async function measureCached(bench: Bench, servers: readonly [HubgateServer, HubgateServer]): Promise<void> {
  const layers = Array.from({ length: LAYERS }, (_, index) => ({ size: KIB, index }));
  const { image } = await bench.image('budget', layers);
  const expected = { path: manifestPath(image.digest), digest: image.digest, size: image.bytes.length };
  for (const server of servers) await fetchVerified(server, expected);
  const { path: target } = expected;
  const turn = async (server: HubgateServer, seconds: number) => {
    const [result, { cpuSeconds }] = await bench.cost(server, () =>
      askCached(bench, server, target, seconds),
    );
    const perThousand = (1000 * cpuSeconds) / result.requests;
    return {
      'CPU s/1000': perThousand,
      'requests/s': result.requests / result.seconds,
      errors: result.errors,
    };
  };
  await bench.warmUp(servers, (server, seconds) => askCached(bench, server, target, seconds));
  const [one, other] = servers;
  for (let round = 0; round < bench.rounds; round++) {
    const ratios: number[] = [];
    for (const [limited, free] of [[one, other] as const, [other, one] as const]) {
      await apply(limited, LIMITS);
      await apply(free, 0);
      // The first requests after an edit fill what the gateways keep for a policy.
      await Promise.all([turn(limited, 1), turn(free, 1)]);
      const { seconds } = bench.settings;
      const [with_, without] = await Promise.all([turn(limited, seconds), turn(free, seconds)]);
      bench.record(`cached manifest, ${LIMITS} limits`, limited.name, with_);
      bench.record('cached manifest, no limits', free.name, without);
      ratios.push(with_['CPU s/1000'] / without['CPU s/1000']);
    }
    const ratio = Math.sqrt(ratios.reduce((product, one) => product * one, 1));
    bench.record(COMPARED, one.name, { 'CPU ratio': ratio });
  }
}

async function askCached(bench: Bench, server: HubgateServer, target: string, seconds: number) {
  const headers = { accept: ACCEPT, authorization: (await server.authorization()) ?? '' };
  const { directory } = bench;
  return runWrk({
    port: server.port,
    paths: [target],
    headers,
    connections: CONNECTIONS,
    seconds,
    directory,
  });
}

/** Writes a policy, and waits until all gateways have it. */
async function apply(server: HubgateServer, limits: number): Promise<void> {
  await writeFile(path.join(server.home, 'config/access.yaml'), policyWith(limits));
  const authorization = (await server.authorization()) ?? '';
  const request = {
    tls: true,
    host: 'localhost',
    port: server.port,
    agent: false,
    rejectUnauthorized: false,
  };
  for (let row = 0; row < IN_A_ROW; row++) {
    const { body } = await ask({
      ...request,
      path: '/v2/library/marker/manifests/1',
      headers: { authorization },
    });
    if (!body.includes(`with-${limits}-limits`)) row = -1;
    await delay(ASK_EVERY);
  }
}

/** Measures decisions of the core about pulls, in this process, each timed alone. */
async function measureDecisions(bench: Bench, applying: number): Promise<void> {
  const file = path.join(bench.directory, `budget-${applying}.db`);
  const stated = new Map([[DOCKER_HUB, { pulls: 1e9, windowMs: 86_400_000 }]]);
  await using budgets = openBudgets({ file, stated, clock: Date.now, log: QUIET });
  const spenders = Array.from({ length: SUBJECTS }, (_, subject) => spenderOf(subject, applying));
  const decisions = applying === LIMITS ? DECISIONS / FEWER : DECISIONS;
  for (let round = 0; round < bench.rounds; round++) {
    const times = new Float64Array(decisions);
    for (let turn = -WARM_UP; turn < decisions; turn++) {
      const spender = spenders[(turn + WARM_UP) % SUBJECTS];
      const begun = performance.now();
      const taken = budgets.takePull(DOCKER_HUB, 'main', spender);
      const microseconds = (performance.now() - begun) * 1000;
      if (taken.kind !== 'taken') throw new Error(`a pull was refused by ${taken.kind}`);
      taken[Symbol.dispose]();
      if (turn >= 0) times[turn] = microseconds;
    }
    bench.record(`decision, ${applying} limits apply`, 'hubgate', {
      'decision µs': median([...times]),
      'p99 µs': times.toSorted()[Math.floor(decisions * 0.99)] ?? Number.NaN,
    });
  }
}

/** A subject with limits of which half are shared, and half are for each. */
function spenderOf(subject: number, applying: number): Spender {
  const allowance = { max: 1e9, windowMs: 86_400_000 };
  const budgets = Array.from({ length: applying }, (_, index) => {
    const limit = `l${index}`;
    return { limit, key: index % 2 === 0 ? limit : `${limit} ${subject}`, pulls: allowance };
  });
  return { subjectKey: `s${subject}`, budgets, reserved: { share: 0.2, ids: ['prod'] } };
}

/** Measures the report of who used the quota, over an audit log with very many lines. */
async function measureReport(bench: Bench, server: HubgateServer): Promise<void> {
  const lines = bench.settings.quick ? QUICK_AUDIT_LINES : AUDIT_LINES;
  await pipeline(
    Readable.from(auditLines(lines)),
    createWriteStream(path.join(server.home, 'state/audit.log')),
  );
  for (let round = 0; round < Math.min(bench.rounds, 5); round++) {
    const begun = performance.now();
    const said = await server.run('upstream', 'budget', '--by', 'subject', '--since', '1d', '--json');
    const seconds = (performance.now() - begun) / 1000;
    if (!said.includes('user:u7'))
      throw new Error(`the report does not name a subject: ${said.slice(0, 200)}`);
    bench.record(`budget --by subject, ${lines.toLocaleString('en')} audit lines`, server.name, { seconds });
  }
}

/** Lines as gateways write them: a tenth of them are pulls that were counted. */
function* auditLines(count: number): Generator<string> {
  const begin = Date.now() - 3_600_000;
  let text = '';
  for (let index = 0; index < count; index++) {
    const isCounted = index % 10 === 0;
    text += `${JSON.stringify({
      ...{ level: 30, time: new Date(begin + index).toISOString(), action: 'pull', pull: `p${index >> 2}` },
      ...{
        subject: `user:u${index % 1009}`,
        credential: 'pw_1c2d3e4f',
        address: `10.0.${index % 7}.${index % 251}`,
      },
      ...{ method: 'GET', milliseconds: index % 300, repository: `docker.io/library/image-${index % 503}` },
      ...{ tag: 'latest', digest: `sha256:${'a'.repeat(64)}`, rule: 'base', decision: 'allow', status: 200 },
      ...{ bytes: 1432, cache: isCounted ? 'fill' : 'hit', upstreamRequests: isCounted ? 2 : 0 },
      ...{ countedPulls: isCounted ? 1 : 0, agent: 'docker/28.5.2 go/go1.24.9 kernel/6.12' },
    })}\n`;
    if (text.length < 1 << 20) continue;
    yield text;
    text = '';
  }
  yield text;
}
