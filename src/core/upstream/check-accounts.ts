import type { Clock } from '../../platform/clock.ts';
import { Deadline } from '../../platform/scheduling/deadline.ts';
import type { CredentialState } from '../../protocol/core-api.ts';
import type { Account, Session } from './account.ts';
import type { AccountPulls } from './account-pulls.ts';
import { apiRoot } from './api-url.ts';
import { checkCredential, mayPush } from './credential-check.ts';
import { sendAuthorized } from './send-authorized.ts';
import { discard, type Transport, type UpstreamRequest } from './transport.ts';
import { troubleOf } from './transport-failure.ts';
import type { UpstreamOptions } from './upstream.ts';
import { type UpstreamAccounts, worstCredential } from './upstream-accounts.ts';
import type { UpstreamResponse } from './upstream-response.ts';
import type { UpstreamRefusal, UpstreamResult } from './upstream-result.ts';

/** The answer of an upstream to the credential of one account. */
export interface AccountCheck {
  readonly name: string;
  readonly credential: CredentialState;
  readonly mayPush: boolean | null;
}

export interface UpstreamCheck {
  readonly trouble: string | null;
  readonly credential: CredentialState;
  /** True if the credential may change content there. Null if the upstream does not tell. */
  readonly mayPush: boolean | null;
  /**
   * The milliseconds by which this clock is ahead of the upstream's. Null if the upstream does not send its
   * time.
   */
  readonly ahead: number | null;
  /** The accounts, if the configuration names several. */
  readonly accounts?: readonly AccountCheck[];
}

export interface AccountCheckOptions {
  readonly transport: Transport;
  /** The milliseconds for the check of one account. */
  readonly deadline: number;
  readonly clock: Clock;
}

/** Checks the upstream and its credentials now, as each account, and without a cached token. */
export async function checkAccounts(
  { all }: UpstreamAccounts,
  pulls: AccountPulls,
  options: AccountCheckOptions,
): Promise<UpstreamCheck> {
  const checks = await Promise.all(all.map((account) => checkAccount(account, pulls, options)));
  const { credential, mayPush } = sumOf(checks);
  const [first] = checks;
  const trouble = checks.find((check) => check.trouble !== null)?.trouble ?? null;
  const ahead = first?.ahead ?? null;
  if (!all[0].isNamed) return { trouble, credential, mayPush, ahead };
  const accounts = checks.map(({ name, credential, mayPush }) => ({ name, credential, mayPush }));
  return { trouble, credential, mayPush, ahead, accounts };
}

/** Sends one request, so that the account learns whether the upstream accepts its credential. */
export async function judgeCredential(account: Account, options: AccountCheckOptions): Promise<void> {
  using deadline = new Deadline(options.deadline);
  await verdict(account.upstream, { session: account.openSession(), deadline }, options);
}

async function checkAccount(
  account: Account,
  pulls: AccountPulls,
  options: AccountCheckOptions,
): Promise<AccountCheck & UpstreamCheck> {
  const { name, upstream } = account;
  const session = account.openSession();
  using deadline = new Deadline(options.deadline);
  const exchange = { session, deadline };
  const found = await verdict(upstream, exchange, options);
  if (found.trouble !== null) return { name, ...found, mayPush: null };
  const send = (request: UpstreamRequest, scope: string) =>
    sendAsAccount(request, scope, exchange, options.transport);
  pulls.quotaSeen(account, 'account', await checkCredential(upstream, send, deadline, options.clock));
  const isAccepted = found.credential === 'accepted';
  return {
    name,
    ...found,
    mayPush: isAccepted ? await mayPush(upstream, session.authorization, deadline) : null,
  };
}

interface AccountExchange {
  readonly session: Session;
  readonly deadline: Deadline;
}

/** Tells whether the upstream answers, and whether it accepts the credential. */
async function verdict(
  upstream: UpstreamOptions,
  exchange: AccountExchange,
  { transport, clock }: AccountCheckOptions,
): Promise<Omit<UpstreamCheck, 'mayPush'>> {
  const { signal } = exchange.deadline;
  const request = { method: 'GET', url: apiRoot(upstream.url), upstream, signal } as const;
  const answer = await sendAsAccount(request, '', exchange, transport);
  const none = upstream.credential === undefined;
  if (answer.kind !== 'ok') return { ...verdictOf(answer), ...(none && { credential: 'none' }), ahead: null };
  discard(answer.value);
  const { statusCode: status, headers } = answer.value;
  const date = Date.parse(String(headers.date));
  const ahead = Number.isNaN(date) ? null : clock() - date;
  if (status >= 500 || status === 429)
    return { trouble: `it answers ${status}`, credential: none ? 'none' : 'unknown', ahead };
  return { trouble: null, credential: none ? 'none' : status === 200 ? 'accepted' : 'refused', ahead };
}

function sendAsAccount(
  request: UpstreamRequest,
  scope: string,
  exchange: AccountExchange,
  transport: Transport,
): Promise<UpstreamResult<UpstreamResponse>> {
  return sendAuthorized(transport, request, { ...exchange, scope, as: 'account' }).catch((error: unknown) =>
    troubleOf(error, request.upstream.host),
  );
}

/** Sums up the checks of several accounts: a mirror is well if all of them are. */
function sumOf(checks: readonly AccountCheck[]): Pick<UpstreamCheck, 'credential' | 'mayPush'> {
  const pushes = checks.filter(({ credential }) => credential === 'accepted').map(({ mayPush }) => mayPush);
  const mayPush = pushes.includes(true) || (pushes.includes(null) || pushes.length === 0 ? null : false);
  return { credential: worstCredential(checks), mayPush };
}

function verdictOf(answer: UpstreamRefusal): Pick<UpstreamCheck, 'trouble' | 'credential'> {
  if (answer.kind === 'denied') return { trouble: null, credential: 'refused' };
  const { cause, detail } = answer.failure;
  return cause === 'credential'
    ? { trouble: null, credential: 'refused' }
    : { trouble: detail, credential: 'unknown' };
}
