import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { pathsIn } from '../../src/config/home.ts';
import type { Bench, CaseGroup } from '../bench.ts';
import { ACCEPT, KIB, manifestPath } from '../content.ts';
import { fetchVerified } from '../load/verified.ts';
import { runWrk } from '../load/wrk.ts';
import { HUBGATE, type HubgateServer, startBenchHubgate } from '../servers/hubgate.ts';

const CONNECTIONS = 32;
const LAYERS = 10;
const PEOPLE = 1_000;
/** Nothing answers there, and nothing is asked: everybody has just been confirmed. */
const LOGIN = `login:
  corp: { ldap: { url: "ldap://127.0.0.1:1", people: "ou=people,dc=corp" }, confirm: 24h, offline: 24h }
`;
const RULE = '{ id: payments, pull: acme/pay, to: "group:corp/payments", private: true }';

/**
 * Measures what a cached pull costs where people log in at a directory, and groups of it are in the policy.
 */
export const LOGINS: CaseGroup = {
  name: 'logins',
  title: 'Cached pulls beside a directory',
  rounds: { full: 10, quick: 2 },
  programs: ['wrk'],
  async run(bench) {
    if (!bench.settings.kinds.includes(HUBGATE)) return;
    // Two servers are never quite alike, so each place has the directory once.
    const first = await measurePair(bench, true);
    const second = await measurePair(bench, false);
    for (const [round, ratio] of first.entries())
      bench.record('cached manifest, a directory to none', HUBGATE.name, {
        'CPU ratio': Math.sqrt(ratio * (second[round] ?? Number.NaN)),
      });
  },
};

/**
 * Loads two servers at the same time, so that both have the same share of the machine. Returns the ratios of
 * their CPU time.
 */
async function measurePair(bench: Bench, isFirst: boolean): Promise<readonly number[]> {
  await using one = await startServer(bench, isFirst);
  await using other = await startServer(bench, !isFirst);
  const [with_, without] = isFirst ? [one, other] : [other, one];
  const layers = Array.from({ length: LAYERS }, (_, index) => ({ size: KIB, index }));
  const { image } = await bench.image('logins', layers);
  const expected = { path: manifestPath(image.digest), digest: image.digest, size: image.bytes.length };
  for (const server of [one, other]) await fetchVerified(server, expected);
  const load = (server: HubgateServer, seconds: number) => askCached(bench, server, expected.path, seconds);
  await bench.warmUp([one, other], load);
  const turn = async (server: HubgateServer) => {
    const [result, { cpuSeconds }] = await bench.cost(server, () => load(server, bench.settings.seconds));
    return {
      'CPU s/1000': (1000 * cpuSeconds) / result.requests,
      'requests/s': result.requests / result.seconds,
      errors: result.errors,
    };
  };
  const ratios: number[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const [directory, none] = await Promise.all([turn(with_), turn(without)]);
    bench.record(
      `cached manifest, a directory with ${PEOPLE.toLocaleString('en')} people`,
      with_.name,
      directory,
    );
    bench.record('cached manifest, no directory', without.name, none);
    ratios.push(directory['CPU s/1000'] / none['CPU s/1000']);
  }
  return ratios;
}

async function startServer(bench: Bench, hasDirectory: boolean): Promise<HubgateServer> {
  const options = await bench.options([]);
  if (!hasDirectory) return startBenchHubgate(options);
  return startBenchHubgate({
    ...options,
    sections: LOGIN,
    rule: RULE,
    prepared: async (home) => {
      await using state = openAuthState(pathsIn(home).authState);
      for (let index = 0; index < PEOPLE; index++)
        await state.putPerson({
          ...{ name: `p${index}`, login: 'corp', stableId: `id-${index}`, groups: ['payments'] },
          ...{
            confirmedAt: Date.now(),
            refusedAt: null,
            refresh: null,
            sid: null,
            linkedAt: null,
            namedAt: null,
          },
        });
    },
  });
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
