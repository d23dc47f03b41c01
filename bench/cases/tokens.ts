import { ask } from '../../test/support/http.ts';
import { basic } from '../../test/support/test-hubgate.ts';
import type { Bench, CaseGroup } from '../bench.ts';
import { MIB, REPOSITORY } from '../content.ts';
import { runWrk } from '../load/wrk.ts';
import { cpuSeconds, memoryOf } from '../process-tree.ts';
import { HUBGATE, type HubgateServer, PASSWORD, startBenchHubgate, USER } from '../servers/hubgate.ts';

const CONNECTIONS = 32;
const SCOPE = `repository:${REPOSITORY}:pull`;

interface Login {
  readonly name: string;
  readonly paths: readonly [string];
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/**
 * Measures tokens, and the ping before them. Only Hubgate is measured, because the registries have no token
 * service of their own.
 */
export const TOKENS: CaseGroup = {
  name: 'tokens',
  title: 'Tokens and logins',
  rounds: { full: 5, quick: 1 },
  programs: ['wrk'],
  async run(bench) {
    if (!bench.settings.kinds.includes(HUBGATE)) return;
    await using server = await startBenchHubgate(await bench.options([]));
    const logins = await loginsOf(server);
    await bench.warmUp(logins, (login, seconds) => askFor(bench, server, login, seconds));
    await bench.interleave(logins, (login) => measure(bench, server, login));
  },
};

async function loginsOf(server: HubgateServer): Promise<Login[]> {
  const path = `/token?service=bench&scope=${SCOPE}`;
  await server.run('user', 'add', 'ci', '--service');
  const made = await server.run('token', 'create', 'ci', '--expires', '1d', '--json');
  const { token } = JSON.parse(made);
  const password = { authorization: basic(USER, PASSWORD) };
  const refreshToken = await refreshTokenOf(server, password);
  const bearer = (await server.authorization()) ?? '';
  const form = { grant_type: 'refresh_token', service: 'bench', client_id: 'bench', scope: SCOPE };
  return [
    { name: 'token by service token', paths: [path], headers: { authorization: basic('ci', token) } },
    { name: 'token by password, remembered', paths: [path], headers: password },
    {
      name: 'token by refresh',
      paths: ['/token'],
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ ...form, refresh_token: refreshToken }).toString(),
    },
    { name: '/v2/ with a token', paths: ['/v2/'], headers: { authorization: bearer } },
  ];
}

async function refreshTokenOf({ port }: HubgateServer, headers: Record<string, string>): Promise<string> {
  const { body } = await ask({
    ...{ tls: true, host: 'localhost', port, agent: false, rejectUnauthorized: false, headers },
    path: `/token?service=bench&client_id=bench&offline_token=true&scope=${SCOPE}`,
  });
  return JSON.parse(body.toString()).refresh_token;
}

function askFor(bench: Bench, { port }: HubgateServer, { name: _, ...login }: Login, seconds: number) {
  return runWrk({ ...login, port, connections: CONNECTIONS, seconds, directory: bench.directory });
}

async function measure(bench: Bench, server: HubgateServer, login: Login): Promise<void> {
  const { name } = login;
  const auth = memoryOf(server.pid).find((one) => one.name === 'auth')?.pid ?? 0;
  const before = cpuSeconds(auth);
  const [result, cost] = await bench.cost(server, () => askFor(bench, server, login, bench.settings.seconds));
  const authSeconds = cpuSeconds(auth) - before;
  const isToken = name.startsWith('token');
  bench.record(name, server.name, {
    'requests/s': result.requests / result.seconds,
    ...(isToken && {
      'tokens per core of auth': result.requests / authSeconds,
      'tokens per core of the tree': result.requests / cost.cpuSeconds,
    }),
    'p99 ms': result.p99 * 1000,
    'CPU s/1000': (1000 * cost.cpuSeconds) / result.requests,
    'client busy %': (100 * result.cpuSeconds) / result.seconds,
    'peak MiB': cost.peakMemory / MIB,
    ...cost.loop,
    errors: result.errors,
  });
}
