/** The metrics of auth. No label contains the name of a user or the id of a credential. */
import type { WatchedPolicy } from '../access/policy-watcher.ts';
import type { Clock } from '../platform/clock.ts';
import type { Meters, MetricValue } from '../platform/metrics.ts';
import type { Authenticate } from './identity/authenticate.ts';
import type { HashingQueue } from './identity/check-password.ts';
import { expiringTokens } from './identity/expiring-tokens.ts';
import { FEDERATED_NAME } from './identity/federation/federated-login.ts';
import type { LoginDelays } from './identity/login-delays.ts';
import type { ProvePassword } from './identity/prove-password.ts';
import { parseServiceToken } from './identity/service-token.ts';
import type { AuthState } from './state/auth-state.ts';
import type { RefreshTokens } from './token/refresh.ts';

export interface LoginCounts {
  readonly authenticate: (authenticate: Authenticate) => Authenticate;
  readonly refreshTokens: (refreshTokens: RefreshTokens) => RefreshTokens;
  readonly provePassword: (provePassword: ProvePassword) => ProvePassword;
  readonly browserLogin: (outcome: 'right' | 'wrong' | 'unavailable') => void;
}

/**
 * Wraps the functions that judge logins, so that logins are counted by the presented credential and the
 * result.
 */
export function countLogins(meters: Meters): LoginCounts {
  const logins = meters.counter(
    'hubgate_logins_total',
    'Logins by kind of credential and by result; a stray one is of another registry, and counts against nobody',
    ['by', 'outcome'],
  );
  // Counters begin at zero, so that Prometheus also sees their first increase.
  for (const by of ['password', 'token', 'refresh', 'federation', 'session'])
    for (const outcome of ['right', 'wrong']) logins.inc({ by, outcome }, 0);
  return {
    authenticate: (authenticate) => async (login, address, options) => {
      const verdict = await authenticate(login, address, options);
      const { kind } = verdict;
      const outcome =
        kind === 'authenticated' ? 'right' : kind === 'wrong' && options?.isStray ? 'stray' : kind;
      logins.inc({ by: kindOfLogin(login), outcome });
      return verdict;
    },
    provePassword: (provePassword) => async (presented) => {
      const proved = await provePassword(presented);
      logins.inc({ by: kindOfProof(proved), outcome: outcomeOf(proved) });
      return proved;
    },
    browserLogin: (outcome) => logins.inc({ by: 'oidc', outcome }),
    refreshTokens: (refreshTokens) => ({
      give: (identified, client) => refreshTokens.give(identified, client),
      redeem: async (text) => {
        const identified = await refreshTokens.redeem(text);
        logins.inc({ by: 'refresh', outcome: identified === undefined ? 'wrong' : 'right' });
        return identified;
      },
    }),
  };
}

type Proved = Awaited<ReturnType<ProvePassword>>;

function kindOfProof(proved: Proved): string {
  const isLocal = typeof proved === 'string' || ('user' in proved && proved.login === null);
  return isLocal ? 'session' : 'ldap';
}

function outcomeOf(proved: Proved): string {
  if (typeof proved === 'string') return proved;
  if ('user' in proved) return 'right';
  return 'refused' in proved ? 'wrong' : 'unavailable';
}

function kindOfLogin({ username, password }: Parameters<Authenticate>[0]): string {
  if (username === FEDERATED_NAME) return 'federation';
  return parseServiceToken(password) === undefined ? 'password' : 'token';
}

export interface MeasuredAuth {
  readonly policy: WatchedPolicy;
  readonly state: AuthState;
  readonly hashing: HashingQueue;
  readonly delays: LoginDelays;
  readonly clock: Clock;
}

/** Registers the values that are read when somebody asks. */
export function measureAuth(meters: Meters, { policy, state, hashing, delays, clock }: MeasuredAuth): void {
  meters.readGauge(
    'hubgate_policy_info',
    'The version of the policy that holds',
    () => [{ value: 1, labels: { version: policy.status.version.slice(0, 12) } }],
    { labels: ['version'] },
  );
  meters.readGauge(
    'hubgate_policy_refused',
    '1 while the files of the policy are refused and the last good one holds',
    () => one(policy.status.refused === null ? 0 : 1),
  );
  meters.readGauge(
    'hubgate_policy_refusals',
    'How often the files of the policy were refused since auth started',
    () => one(policy.status.refusals),
  );
  meters.readGauge(
    'hubgate_token_expiry_timestamp_seconds',
    'When the first service token ends, of those that end within two weeks; the log names it',
    async () => {
      const ends = (await expiringTokens(state, clock())).map(({ expiresAt }) => expiresAt / 1000);
      return ends.length === 0 ? [] : one(Math.min(...ends));
    },
  );
  meters.readGauge('hubgate_expiring_tokens', 'Service tokens that end within two weeks', async () =>
    one((await expiringTokens(state, clock())).length),
  );
  meters.readGauge('hubgate_waiting_hashes', 'Passwords that wait to be hashed', () =>
    one(hashing.waiting()),
  );
  meters.readGauge('hubgate_delayed_logins', 'Logins that wait because others before them were wrong', () =>
    one(delays.waiting),
  );
}

function one(value: number): readonly MetricValue[] {
  return [{ value }];
}
