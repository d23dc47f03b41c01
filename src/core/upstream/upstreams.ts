/**
 * Sends requests to the configured upstreams: with the header that each wants, within one deadline, and not
 * again too soon after a refusal. It knows no resources and reads no bodies: the caller's `read` does that.
 */
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { Deadline } from '../../platform/scheduling/deadline.ts';
import { NobodyWaits, throwIfNobodyWaits, workForAll } from '../../platform/scheduling/waiters.ts';
import type { Repository, UpstreamHost } from '../../registry/repository.ts';
import { pullScope } from '../../registry/scope.ts';
import type { CoreLimits } from '../limits.ts';
import type { Account, Session } from './account.ts';
import { AccountPulls, type PullBudgets } from './account-pulls.ts';
import { nameThere, resourceUrl } from './api-url.ts';
import { Charge } from './charge.ts';
import {
  type AccountCheckOptions,
  checkAccounts,
  judgeCredential,
  type UpstreamCheck,
} from './check-accounts.ts';
import { decodeContent } from './decode-content.ts';
import { judgeResponse } from './judge-response.ts';
import { parseQuota } from './quota.ts';
import type { RefusalKey } from './refusals.ts';
import type { Requester } from './requester.ts';
import type { ReservedPull } from './reserved-pull.ts';
import type { ReadUpstreamResponse, ResourceRequest } from './resource-request.ts';
import { sendAuthorized } from './send-authorized.ts';
import { SubjectQueues } from './subject-queues.ts';
import { askingTokensOf, type Transport, type UpstreamRequest } from './transport.ts';
import { isCut, troubleOf } from './transport-failure.ts';
import type { UpstreamIdentity, UpstreamOptions } from './upstream.ts';
import { type AccountReport, type PullsLeft, UpstreamAccounts } from './upstream-accounts.ts';
import type { UpstreamResponse } from './upstream-response.ts';
import type { UnavailablePull, UpstreamRefusal, UpstreamResult } from './upstream-result.ts';

export interface UpstreamsOptions {
  readonly upstreams: readonly UpstreamOptions[];
  readonly transport: Transport;
  /** Counts the pulls, and decides who may pull. Absent for a command, whose pulls are not counted. */
  readonly budgets?: PullBudgets;
  readonly limits: Pick<CoreLimits, 'token' | 'question' | 'waiting'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pullsLeft?: PullsLeft;
}

interface ConfiguredUpstream {
  readonly accounts: UpstreamAccounts;
  readonly pulls: AccountPulls;
}

/** A request with one of the accounts, and how its answer is read. */
interface UpstreamAccountRequest<T> {
  readonly account: Account;
  readonly pulls: AccountPulls;
  readonly as: UpstreamIdentity;
  readonly request: ResourceRequest;
  readonly deadline: Deadline;
  readonly read: ReadUpstreamResponse<T>;
}

export class Upstreams implements Disposable {
  readonly #transport: Transport;
  readonly #limits: UpstreamsOptions['limits'];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #upstreams: ReadonlyMap<UpstreamHost, ConfiguredUpstream>;
  readonly #queues: SubjectQueues;

  constructor(options: UpstreamsOptions) {
    const { upstreams, transport, limits, clock, log } = options;
    this.#transport = transport;
    this.#limits = limits;
    this.#clock = clock;
    this.#log = log;
    this.#queues = new SubjectQueues(limits);
    this.#upstreams = new Map(upstreams.map((upstream) => [upstream.host, this.#open(upstream, options)]));
  }

  #open(
    upstream: UpstreamOptions,
    { transport, budgets, limits, clock, log, pullsLeft }: UpstreamsOptions,
  ): ConfiguredUpstream {
    // Checks a new password, so that its author learns at once whether the upstream accepts it.
    const onChange = (account: Account) =>
      void workForAll(() => judgeCredential(account, this.#checkOptions));
    const asking = askingTokensOf(upstream, transport);
    const options = { upstream, transport: asking, clock, deadline: limits.token, log, onChange, pullsLeft };
    const accounts = new UpstreamAccounts(options);
    return { accounts, pulls: new AccountPulls(accounts, budgets, clock) };
  }

  /**
   * Runs one request, from the lookup of cached refusals to the end of `read`, under one deadline. The
   * deadline bounds the sum of the waits for a connection, a token, redirects and a slow answer.
   * @throws NobodyWaits before a further request that nobody waits for
   */
  async ask<T>(request: ResourceRequest, read: ReadUpstreamResponse<T>): Promise<UpstreamResult<T>> {
    const { repository, ask } = request;
    const { accounts, pulls } = this.#configured(repository.upstream);
    const [first, ...others] = accounts.choose(repository.name, ask.as);
    using deadline = new Deadline(ask.deadline ?? this.#limits.question);
    const askAs = (account: Account) => {
      const as = account.upstream.credential === undefined ? 'anonymous' : ask.as;
      return this.#askAs({ account, pulls, as, request, deadline, read });
    };
    const answer = await askAs(first);
    for (const account of isOfAccount(answer) ? others : []) {
      const next = await askAs(account);
      if (!isOfAccount(next)) return next;
    }
    return answer;
  }

  /** Asks with one account, when it is the turn of the requester's subject. */
  async #askAs<T>(asking: UpstreamAccountRequest<T>): Promise<UpstreamResult<T>> {
    const { account, request, deadline } = asking;
    const cached = account.session.refusals.find(refusalKey(asking));
    if (cached !== undefined) return cached;
    const { repository, ask } = request;
    return this.#queues.run(repository.upstream, ask.requester, deadline, () => this.#askNow(asking));
  }

  /** Asks now, at the cost of the requester, and records a refusal. */
  async #askNow<T>(asking: UpstreamAccountRequest<T>): Promise<UpstreamResult<T>> {
    const { account, pulls, as, request } = asking;
    const { requester } = request.ask;
    throwIfNobodyWaits();
    const pull = isPull(request) ? pulls.take(account, as, requester) : undefined;
    if (pull?.kind === 'unavailable') return pull;
    using charge = new Charge(requester, pull);
    const { answer: answered, session } = await this.#answerWithCurrentCredential(asking, charge);
    const answer = pulls.withQuota(account, answered);
    charge.answered(answer);
    if (charge.isSent && as === 'account' && account.isNamed) requester?.cost.useAccount(account.name);
    if (answer.kind === 'ok' || request.isFinal?.(answer) === false) return answer;
    this.#logRefusal(request.repository, answer);
    session.refusals.record(refusalKey(asking), answer);
    return answer;
  }

  /** Asks once more if the credential is refused, and its file or its helper has another one by now. */
  async #answerWithCurrentCredential<T>(
    asking: UpstreamAccountRequest<T>,
    charge: Charge,
  ): Promise<SessionAnswer<T>> {
    const { account, deadline } = asking;
    const { session } = account;
    const answer = await this.#answer(asking, session, charge);
    if (!isOfCredential(answer)) return { answer, session };
    await deadline.bound(account.look()).catch(() => {});
    const { session: current } = account;
    if (current === session) return { answer, session };
    return { answer: await this.#answer(asking, current, charge), session: current };
  }

  /** Asks once, or twice if the answer is cut short while it is read. */
  async #answer<T>(
    asking: UpstreamAccountRequest<T>,
    session: Session,
    charge: Charge,
  ): Promise<UpstreamResult<T>> {
    const { account, as, request, deadline, read } = asking;
    const { upstream } = account;
    const scope = pullScope(nameThere(upstream.url, request.repository.path));
    const attempt = async (asked: UpstreamRequest) => {
      const answer = await sendAuthorized(this.#transport, asked, { session, scope, as, deadline });
      if (answer.kind !== 'ok') return answer;
      const response = decodeContent(answer.value, request.method);
      const judged = await this.#judge(asking, response);
      return judged.kind === 'ok' ? await read(judged.value) : judged;
    };
    const asked = requestTo(upstream, request, deadline, charge);
    try {
      // Only the reading of the body throws here.
      return await attempt(asked).catch((error: unknown) => {
        if (!isCut(error) || deadline.signal.aborted) throw error;
        return attempt({ ...asked, fresh: true });
      });
    } catch (error) {
      if (error instanceof NobodyWaits) throw error;
      return troubleOf(error, upstream.host);
    }
  }

  #judge<T>(
    { account, pulls, as, request }: UpstreamAccountRequest<T>,
    response: UpstreamResponse,
  ): Promise<UpstreamResult<UpstreamResponse>> {
    const { host, credential } = account.upstream;
    const now = this.#clock();
    if (as === 'account' || credential === undefined)
      pulls.quotaSeen(account, as, parseQuota(response.headers, now));
    return judgeResponse(response, request, host, now);
  }

  #logRefusal({ name: repository }: Repository, answer: UpstreamRefusal): void {
    // Failures of the credential are logged once, and not at each request.
    if (answer.kind === 'unavailable' && answer.failure.known !== true && !isOfCredential(answer))
      this.#log.warn({ repository, ...answer.failure }, 'upstream trouble');
    if (answer.kind === 'denied' && answer.reason === 'unsupported')
      this.#log.info({ repository, type: answer.mediaType }, 'a manifest of this type is not mirrored');
  }

  /** Counts a pull of the requester in advance, for a question that may follow, or refuses the pull. */
  reservePull(repository: Repository, requester: Requester): ReservedPull | UnavailablePull {
    return this.#configured(repository.upstream).pulls.reserve(repository, requester);
  }

  /** The number of requests that wait for their turn. */
  get waiting(): number {
    return this.#queues.waiting;
  }

  /** Returns what is known of the accounts of an upstream. */
  accounts(upstream: UpstreamHost): readonly AccountReport[] {
    return this.#upstreams.get(upstream)?.accounts.report ?? [];
  }

  /** Reads the files of credentials now. */
  async reload(): Promise<void> {
    const accounts = [...this.#upstreams.values()].flatMap(({ accounts }) => accounts.all);
    await Promise.all(accounts.map((account) => account.look()));
  }

  /** Checks the upstream and its credentials now, as each account, and without a cached token. */
  async check(host: UpstreamHost): Promise<UpstreamCheck> {
    const { accounts, pulls } = this.#configured(host);
    return checkAccounts(accounts, pulls, this.#checkOptions);
  }

  get #checkOptions(): AccountCheckOptions {
    return { transport: this.#transport, deadline: this.#limits.question, clock: this.#clock };
  }

  #configured(host: UpstreamHost): ConfiguredUpstream {
    const upstream = this.#upstreams.get(host);
    if (upstream === undefined) throw new Error(`no upstream ${host} is configured`);
    return upstream;
  }

  [Symbol.dispose](): void {
    for (const { accounts } of this.#upstreams.values()) accounts[Symbol.dispose]();
  }
}

interface SessionAnswer<T> {
  readonly answer: UpstreamResult<T>;
  /** The session that the answer belongs to. */
  readonly session: Session;
}

function refusalKey({ request, as }: UpstreamAccountRequest<unknown>): RefusalKey {
  const { repository, method, resource } = request;
  return { repository, method, resource, as };
}

/**
 * True if the request counts as a pull: Docker Hub counts GETs of manifests, and says so only to accounts
 * with a limit.
 */
function isPull({ method, resource }: ResourceRequest): boolean {
  return method === 'GET' && resource.startsWith('manifests/');
}

function isOfCredential(answer: UpstreamResult<unknown>): boolean {
  return answer.kind === 'unavailable' && answer.failure.cause === 'credential';
}

/** True if another account may have another answer, because this one is refused or has no pulls left. */
function isOfAccount(answer: UpstreamResult<unknown>): boolean {
  return isOfCredential(answer) || (answer.kind === 'unavailable' && answer.failure.cause === 'limited');
}

function requestTo(
  upstream: UpstreamOptions,
  { repository, method, resource, headers, acceptsRedirect }: ResourceRequest,
  { signal }: Deadline,
  { onSend }: Charge,
): UpstreamRequest {
  return {
    method,
    url: resourceUrl(upstream.url, repository.path, resource),
    ...(headers && { headers }),
    upstream,
    follows: acceptsRedirect !== true,
    about: repository.name,
    signal,
    onSend,
  };
}
