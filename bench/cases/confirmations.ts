import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { openTextSeal, REFRESH_PURPOSE } from '../../src/auth/identity/directory/sealed-text.ts';
import { openAuthState } from '../../src/auth/state/sqlite-state.ts';
import { pathsIn } from '../../src/config/home.ts';
import { roleProcesses } from '../../test/e2e/support/role-pids.ts';
import { IdentityProvider } from '../../test/support/identity-provider.ts';
import type { Bench, CaseGroup } from '../bench.ts';
import { cpuSeconds } from '../process-tree.ts';
import { HUBGATE, type HubgateServer, startBenchHubgate } from '../servers/hubgate.ts';

const SIZES = { full: 10_000, quick: 500 };
const MINUTE = 60_000;
/** The default of `confirm`, within which everybody is confirmed once. */
const CONFIRM = 15 * MINUTE;
/** In milliseconds. */
const LOOK_EVERY = 250;

/**
 * Measures what it costs to confirm everybody by refresh tokens. The provider is `oidc-provider` in a process
 * of its own, over TLS, and every token is replaced when it is used.
 */
export const CONFIRMATIONS: CaseGroup = {
  name: 'confirmations',
  title: 'Confirmations by an identity provider',
  rounds: { full: 3, quick: 1 },
  async run(bench) {
    if (!bench.settings.kinds.includes(HUBGATE)) return;
    await measureProvider(bench, 'ID tokens with groups', true);
    await measureProvider(bench, 'groups from userinfo', false);
  },
};

async function measureProvider(bench: Bench, what: string, hasLongIdTokens: boolean): Promise<void> {
  const count = SIZES[bench.settings.quick ? 'quick' : 'full'];
  const options = await bench.options([]);
  const { tls } = options;
  await using provider = await IdentityProvider.startWith({
    redirects: ['https://localhost/account/login/corp/callback'],
    tls,
    hasLongIdTokens,
  });
  const names = Array.from({ length: count }, (_, index) => `p${index}`);
  await using server = await startBenchHubgate({
    ...options,
    sections: `login: { corp: { oidc: { issuer: "${provider.issuer}", clientId: hubgate } } }
egress: { ca: ${tls.ca} }
`,
    rule: '{ id: payments, pull: acme/pay, to: "group:corp/payments", private: true }',
    prepared: async (home) => putPeople(home, names, await provider.setMany(names)),
  });
  const auth = (await roleProcesses(server.pid)).find(({ role }) => role === 'auth');
  if (auth === undefined) throw new Error('auth does not run');
  for (let round = 0; round < bench.rounds; round++) {
    await letTimeGoBy(server.home);
    const { accepted } = await provider.refreshes();
    const [begun, ofAuth, ofTree] = [performance.now(), cpuSeconds(auth.pid), cpuSeconds(server.pid)];
    process.kill(server.pid, 'SIGHUP');
    while (!isConfirmed(server)) await delay(LOOK_EVERY);
    const cpu = cpuSeconds(auth.pid) - ofAuth;
    bench.record(`${count.toLocaleString('en')} people, ${what}`, HUBGATE.name, {
      seconds: (performance.now() - begun) / 1000,
      'auth CPU s': cpu,
      'auth CPU %': (100 * 1000 * cpu) / CONFIRM,
      'tree CPU s': cpuSeconds(server.pid) - ofTree,
      'requests each': ((await provider.refreshes()).accepted - accepted) / count,
    });
  }
}

/** Binds people who were confirmed a moment ago. */
async function putPeople(
  home: string,
  names: readonly string[],
  refreshTokens: readonly string[],
): Promise<void> {
  const { authState, loginKey } = pathsIn(home);
  await using _created = openAuthState(authState);
  const seal = await openTextSeal(loginKey);
  using database = new DatabaseSync(authState);
  database.exec('BEGIN IMMEDIATE');
  const put = database.prepare('INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  for (const [index, name] of names.entries()) {
    const refresh = seal.seal(REFRESH_PURPOSE, refreshTokens[index] ?? '');
    put.run(name, 'corp', name, '["payments"]', Date.now(), null, refresh, null, null, null);
  }
  database.exec('COMMIT');
}

/** Everybody was confirmed long ago, so that it is everybody's turn. */
async function letTimeGoBy(home: string): Promise<void> {
  using database = new DatabaseSync(pathsIn(home).authState, { timeout: MINUTE });
  database.prepare('UPDATE person SET confirmed_at = ?').run(Date.now() - CONFIRM);
}

function isConfirmed({ home }: HubgateServer): boolean {
  using database = new DatabaseSync(pathsIn(home).authState, { readOnly: true, timeout: MINUTE });
  const waiting = database.prepare('SELECT count(*) AS n FROM person WHERE confirmed_at <= ?');
  return waiting.get(Date.now() - CONFIRM / 2)?.n === 0;
}
