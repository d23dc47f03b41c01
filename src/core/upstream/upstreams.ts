/**
 * Sends requests to the configured upstreams: with the header that each wants, within one deadline, and not
 * again too soon after a refusal. It knows no resources and reads no bodies: the caller's `read` does that.
 */
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { Deadline, DeadlineError } from '../../platform/scheduling/deadline.ts';
import { FairQueue, QueueFullError } from '../../platform/scheduling/fair-queue.ts';
import { NobodyWaits, throwIfNobodyWaits, workForAll } from '../../platform/scheduling/waiters.ts';
import type { CredentialState } from '../../protocol/core-api.ts';
import type { Repository, UpstreamHost } from '../../registry/repository.ts';
import { pullScope } from '../../registry/scope.ts';
import type { Budgets, PullTaken } from '../budget/budgets.ts';
import { CONNECTIONS, type CoreLimits, REFUSED_FOR } from '../limits.ts';
import type { Account, Session } from './account.ts';
import { apiRoot, nameThere, resourceUrl } from './api-url.ts';
import type { Authorization, AuthorizationHeader, UpstreamChallenges } from './authorization.ts';
import { Charge } from './charge.ts';
import { checkCredential, mayPush } from './credential-check.ts';
import { decodeContent } from './decode-content.ts';
import { type Quota, readQuota, readRetryAfter } from './quota.ts';
import type { RefusalKey } from './refusals.ts';
import { displayedType, isPage, isRefusalOfRegistry, typeOf } from './registry-refusal.ts';
import type { Requester } from './requester.ts';
import { ReservedPull } from './reserved-pull.ts';
import {
  askingTokensOf,
  discard,
  isCut,
  isRedirect,
  type Transport,
  troubleOf,
  type UpstreamRequest,
} from './transport.ts';
import type { UpstreamIdentity, UpstreamOptions } from './upstream.ts';
import {
  type AccountReport,
  type PullsLeft,
  UpstreamAccounts,
  worstCredential,
} from './upstream-accounts.ts';
import type { UpstreamResponse } from './upstream-response.ts';
import {
  denied,
  ok,
  overBudget,
  type UnavailablePull,
  type UpstreamRefusal,
  type UpstreamResult,
  unavailable,
  unavailableByStatus,
} from './upstream-result.ts';

export interface UpstreamsOptions {
  readonly upstreams: readonly UpstreamOptions[];
  readonly transport: Transport;
  /** Counts the pulls, and decides who may pull. Without it a command asks, and nothing is counted. */
  readonly budgets?: Pick<Budgets, 'takePull' | 'quotaSeen'>;
  readonly limits: Pick<CoreLimits, 'token' | 'question' | 'waiting'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pullsLeft?: PullsLeft;
}

/** What an upstream answers to the credential of one account. */
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

export interface UpstreamAskOptions {
  readonly as: UpstreamIdentity;
  /** Absent if the request is at nobody's cost. */
  readonly requester?: Requester;
  /** The milliseconds for the whole request, if the standard deadline is too long. */
  readonly deadline?: number;
}

/** A request to one upstream, and how its answer is obtained. */
export interface ResourceRequest {
  readonly repository: Repository;
  readonly method: 'GET' | 'HEAD';
  readonly resource: string;
  readonly ask: UpstreamAskOptions;
  readonly headers?: Readonly<Record<string, string>>;
  /** True if a redirect of a HEAD means yes, and is not followed. */
  readonly redirectIsYes?: boolean;
  /** The registry's own statuses that mean the same as a 404 in its own words here. */
  readonly absentBy?: readonly number[];
  /**
   * Returns false if this refusal is not the answer, because the caller asks in another way then. Such a
   * refusal is neither cached nor logged.
   */
  readonly isFinal?: (answer: UpstreamRefusal) => boolean;
}

type SentResource = ResourceRequest & Pick<UpstreamRequest, 'onSend'>;

/** Reads an answer. It reads or destroys the body, and may find the answer invalid. */
export type ReadUpstreamResponse<T> = (response: UpstreamResponse) => Promise<UpstreamResult<T>>;

export class Upstreams implements Disposable {
  readonly #transport: Transport;
  readonly #budgets: UpstreamsOptions['budgets'];
  readonly #limits: UpstreamsOptions['limits'];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #upstreams: ReadonlyMap<UpstreamHost, UpstreamAccounts>;
  readonly #turns = new Map<UpstreamHost, FairQueue>();
  #questions = 0;

  constructor({ upstreams, transport, budgets, limits, clock, log, pullsLeft }: UpstreamsOptions) {
    this.#transport = transport;
    this.#budgets = budgets;
    this.#limits = limits;
    this.#clock = clock;
    this.#log = log;
    this.#upstreams = new Map(
      upstreams.map((upstream) => {
        // Checks a new password, so that its author learns at once whether the upstream accepts it.
        const onChange = (account: Account) => void workForAll(() => this.#checkCredential(account));
        const { token: deadline } = limits;
        const asking = askingTokensOf(upstream, transport);
        const options = { upstream, transport: asking, clock, deadline, log, onChange, pullsLeft };
        return [upstream.host, new UpstreamAccounts(options)];
      }),
    );
  }

  /**
   * Runs one request, from the lookup of cached refusals to the end of `read`, under one deadline. The
   * deadline bounds the sum of the waits for a connection, a token, redirects and a slow answer.
   * @throws NobodyWaits before a further request that nobody waits for
   */
  async ask<T>(request: ResourceRequest, read: ReadUpstreamResponse<T>): Promise<UpstreamResult<T>> {
    const { repository, ask } = request;
    const [first, ...others] = this.#configured(repository.upstream).choose(repository.name, ask.as);
    using deadline = new Deadline(ask.deadline ?? this.#limits.question);
    const answer = await this.#askAs(first, request, deadline, read);
    for (const account of isOfAccount(answer) ? others : []) {
      const next = await this.#askAs(account, request, deadline, read);
      if (!isOfAccount(next)) return next;
    }
    return answer;
  }

  /** Asks with one account. */
  async #askAs<T>(
    account: Account,
    request: ResourceRequest,
    deadline: Deadline,
    read: ReadUpstreamResponse<T>,
  ): Promise<UpstreamResult<T>> {
    const { repository, method, resource, ask } = request;
    const as = account.upstream.credential === undefined ? 'anonymous' : ask.as;
    const cached = account.session.refusals.find({ repository, method, resource, as });
    if (cached !== undefined) return cached;
    return this.#inTurn(repository.upstream, ask.requester, deadline, () =>
      this.#askNow(account, request, as, deadline, read),
    );
  }

  /**
   * Waits for the turn of the requester's subject: the subjects share the connections to an upstream. Waiting
   * counts toward the deadline.
   */
  async #inTurn<T>(
    host: UpstreamHost,
    requester: Requester | undefined,
    deadline: Deadline,
    ask: () => Promise<UpstreamResult<T>>,
  ): Promise<UpstreamResult<T>> {
    // What nobody's subject asks for shares nothing with other such questions.
    const subject = requester?.spender.subjectKey || `question ${this.#questions++}`;
    try {
      const options = { deadline: this.#limits.question, signal: deadline.signal };
      return await this.#turnsOf(host).run(subject, options, ask);
    } catch (error) {
      if (error instanceof QueueFullError)
        return unavailable('busy', `${host}: too many requests wait for a connection`);
      if (error instanceof DeadlineError) return troubleOf(error, host);
      throw error;
    }
  }

  #turnsOf(host: UpstreamHost): FairQueue {
    const known = this.#turns.get(host);
    if (known !== undefined) return known;
    const { waiting } = this.#limits;
    const turns = new FairQueue({
      concurrent: CONNECTIONS.most,
      concurrentEach: CONNECTIONS.each,
      waiting,
      waitingEach: Math.ceil(waiting * CONNECTIONS.waitingEach),
    });
    this.#turns.set(host, turns);
    return turns;
  }

  /** The number of requests that wait for their turn. */
  get waiting(): number {
    return [...this.#turns.values()].reduce((sum, { waiting }) => sum + waiting, 0);
  }

  async #askNow<T>(
    account: Account,
    request: ResourceRequest,
    as: UpstreamIdentity,
    deadline: Deadline,
    read: ReadUpstreamResponse<T>,
  ): Promise<UpstreamResult<T>> {
    const { repository, method, resource, ask } = request;
    const question: RefusalKey = { repository, method, resource, as };
    let { session } = account;
    throwIfNobodyWaits();
    const pull = isPull(request) ? this.#takePull(account, as, ask.requester) : undefined;
    if (pull?.kind === 'unavailable') return pull;
    using charge = new Charge(ask.requester, pull);
    const asked = { ...request, onSend: charge.onSend };
    let answer = await this.#answer(account, session, asked, as, deadline, read);
    if (isOfCredential(answer)) {
      // The file may contain another password that has not been read yet.
      await deadline.bound(account.look()).catch(() => {});
      if (account.session !== session) {
        session = account.session;
        answer = await this.#answer(account, session, asked, as, deadline, read);
      }
    }
    answer = this.#withQuota(account, answer);
    charge.answered(answer);
    if (charge.isSent && as === 'account' && account.isNamed) ask.requester?.cost.useAccount(account.name);
    if (answer.kind === 'ok' || request.isFinal?.(answer) === false) return answer;
    // Failures of the credential are logged once, and not at each request.
    if (answer.kind === 'unavailable' && answer.failure.known !== true && !isOfCredential(answer))
      this.#log.warn({ repository: repository.name, ...answer.failure }, 'upstream trouble');
    if (answer.kind === 'denied' && answer.reason === 'unsupported')
      this.#log.info(
        { repository: repository.name, type: answer.mediaType },
        'a manifest of this type is not mirrored',
      );
    session.refusals.record(question, answer);
    return answer;
  }

  /**
   * Takes a pull for the requester, which may be used for a question that follows. It is refused without a
   * question to the upstream if a budget is used up, or if the upstream has just refused another pull.
   */
  reservePull({ name, upstream }: Repository, requester: Requester): ReservedPull | UnavailablePull {
    let refusal: UnavailablePull | undefined;
    for (const account of this.#configured(upstream).choose(name, 'account')) {
      const as = account.upstream.credential === undefined ? 'anonymous' : 'account';
      refusal = account.session.refusals.limited({ upstream, as });
      if (refusal !== undefined) continue;
      const taken = this.#takePull(account, as, requester);
      if (taken?.kind === 'unavailable') return taken;
      return new ReservedPull(this.#accountKey(account, as), taken);
    }
    return refusal ?? new ReservedPull('', undefined);
  }

  /** Counts a pull before it is sent, or refuses it. */
  #takePull(
    account: Account,
    as: UpstreamIdentity,
    requester: Requester | undefined,
  ): PullTaken | UnavailablePull | undefined {
    const { host } = account.upstream;
    const key = this.#accountKey(account, as);
    const reserved = requester?.reserved?.use(key);
    const taken = reserved ?? this.#budgets?.takePull(host, key, requester?.spender);
    return taken === undefined || taken.kind === 'taken' ? taken : overBudget(taken, this.#clock());
  }

  /** Returns the name under which pulls are counted. What is asked without the login has its own quota. */
  #accountKey({ name, upstream }: Account, as: UpstreamIdentity): string {
    const hasLogin = this.#configured(upstream.host).all.some((one) => one.upstream.credential !== undefined);
    return as === 'anonymous' && hasLogin ? 'anonymous' : name;
  }

  #quotaSeen(account: Account, as: UpstreamIdentity, quota: Quota | undefined): void {
    if (quota === undefined) return;
    account.quota = quota;
    this.#budgets?.quotaSeen(account.upstream.host, this.#accountKey(account, as), quota);
  }

  /** Adds to a refusal by the upstream what is known of its quota. */
  #withQuota<T>({ quota }: Account, answer: UpstreamResult<T>): UpstreamResult<T> {
    if (answer.kind !== 'unavailable' || answer.failure.cause !== 'limited') return answer;
    const { retryAfter = REFUSED_FOR.limited / 1000 } = answer.failure;
    const untilMs = this.#clock() + retryAfter * 1000;
    const known = quota && { max: quota.limit, windowMs: quota.window * 1000 };
    const refusal = { kind: 'upstream', unit: 'pulls', ...known, untilMs } as const;
    return { ...answer, failure: { ...answer.failure, retryAfter, quota: refusal } };
  }

  /** Returns what is known of the accounts of an upstream. */
  accounts(upstream: UpstreamHost): readonly AccountReport[] {
    return this.#upstreams.get(upstream)?.report ?? [];
  }

  /** Reads the files of credentials now. */
  async reload(): Promise<void> {
    const accounts = [...this.#upstreams.values()].flatMap(({ all }) => all);
    await Promise.all(accounts.map((account) => account.look()));
  }

  /** Checks the upstream and its credentials now, as each account, and without a cached token. */
  async check(host: UpstreamHost): Promise<UpstreamCheck> {
    const { all } = this.#configured(host);
    const checks = await Promise.all(all.map((account) => this.#checkAccount(account)));
    const { credential, mayPush } = sumOf(checks);
    const [first] = checks;
    const trouble = checks.find((check) => check.trouble !== null)?.trouble ?? null;
    const ahead = first?.ahead ?? null;
    if (!all[0].isNamed) return { trouble, credential, mayPush, ahead };
    const accounts = checks.map(({ name, credential, mayPush }) => ({ name, credential, mayPush }));
    return { trouble, credential, mayPush, ahead, accounts };
  }

  async #checkAccount(account: Account): Promise<AccountCheck & UpstreamCheck> {
    const { name, upstream } = account;
    const session = account.openSession();
    using deadline = new Deadline(this.#limits.question);
    const verdict = await this.#verdict(upstream, session, deadline);
    if (verdict.trouble !== null) return { name, ...verdict, mayPush: null };
    const send = (request: UpstreamRequest, scope: string) =>
      this.#asAccount(upstream, session, request, scope, deadline);
    this.#quotaSeen(account, 'account', await checkCredential(upstream, send, deadline, this.#clock));
    const isAccepted = verdict.credential === 'accepted';
    return {
      name,
      ...verdict,
      mayPush: isAccepted ? await mayPush(upstream, session.authorization, deadline) : null,
    };
  }

  async #checkCredential(account: Account): Promise<void> {
    using deadline = new Deadline(this.#limits.question);
    await this.#verdict(account.upstream, account.openSession(), deadline);
  }

  /** Tells whether the upstream answers, and whether it accepts the credential. */
  async #verdict(
    options: UpstreamOptions,
    session: Session,
    deadline: Deadline,
  ): Promise<Omit<UpstreamCheck, 'mayPush'>> {
    const request = {
      method: 'GET',
      url: apiRoot(options.url),
      upstream: options,
      signal: deadline.signal,
    } as const;
    const answer = await this.#asAccount(options, session, request, '', deadline);
    const none = options.credential === undefined;
    if (answer.kind !== 'ok')
      return { ...verdictOf(answer), ...(none && { credential: 'none' }), ahead: null };
    discard(answer.value);
    const { statusCode: status, headers } = answer.value;
    const date = Date.parse(String(headers.date));
    const ahead = Number.isNaN(date) ? null : this.#clock() - date;
    if (status >= 500 || status === 429)
      return { trouble: `it answers ${status}`, credential: none ? 'none' : 'unknown', ahead };
    return { trouble: null, credential: none ? 'none' : status === 200 ? 'accepted' : 'refused', ahead };
  }

  #asAccount(
    { host }: UpstreamOptions,
    session: Session,
    request: UpstreamRequest,
    scope: string,
    deadline: Deadline,
  ): Promise<UpstreamResult<UpstreamResponse>> {
    return this.#authorized(session, request, scope, 'account', deadline).catch((error: unknown) =>
      troubleOf(error, host),
    );
  }

  async #answer<T>(
    account: Account,
    session: Session,
    request: SentResource,
    as: UpstreamIdentity,
    deadline: Deadline,
    read: ReadUpstreamResponse<T>,
  ): Promise<UpstreamResult<T>> {
    const { upstream } = account;
    const scope = pullScope(nameThere(upstream.url, request.repository.path));
    const attempt = async (asked: UpstreamRequest) => {
      const answer = await this.#authorized(session, asked, scope, as, deadline);
      if (answer.kind !== 'ok') return answer;
      const response = decodeContent(answer.value, request.method);
      const judged = await this.#judge(account, response, request, as);
      return judged.kind === 'ok' ? await read(judged.value) : judged;
    };
    const asked = requestTo(upstream, request, deadline);
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

  async #authorized(
    session: Session,
    request: UpstreamRequest,
    scope: string,
    as: UpstreamIdentity,
    deadline: Deadline,
  ): Promise<UpstreamResult<UpstreamResponse>> {
    const { authorization } = session;
    const answer = await this.#sendAuthorized(authorization, request, scope, as, deadline);
    if (as === 'anonymous' || !authorization.isBasic || answer.kind !== 'ok' || answer.value.redirected)
      return answer;
    const { statusCode: status } = answer.value;
    if (status < 400) session.judged('accepted');
    if (!mayBeOfLogin(status, request.upstream)) return answer;
    // With Basic a 401 can concern the repository or the credential. The root of the API is open to everybody
    // who may log in.
    const { upstream, signal, onSend } = request;
    const root = { method: 'GET', url: apiRoot(upstream.url), upstream, signal, onSend } as const;
    const asked =
      request.url.pathname === root.url.pathname
        ? answer
        : await this.#sendAuthorized(authorization, root, '', as, deadline);
    if (asked.kind === 'ok') discard(asked.value);
    if (asked.kind !== 'ok' || !mayBeOfLogin(asked.value.statusCode, upstream)) return answer;
    discard(answer.value);
    session.judged('refused');
    return unavailable('credential', `${request.url.host} refuses the configured credential`);
  }

  /** Sends with the header that the upstream wants, and once more if the upstream refuses that one. */
  async #sendAuthorized(
    authorization: Authorization,
    request: UpstreamRequest,
    scope: string,
    as: UpstreamIdentity,
    deadline: Deadline,
  ): Promise<UpstreamResult<UpstreamResponse>> {
    const question = { scope, as, onSend: request.onSend };
    const first = await deadline.bound(authorization.header(question));
    if (first.kind !== 'ok') return first;
    throwIfNobodyWaits();
    const authorizeElsewhere = (refusal: UpstreamResponse) =>
      authorization.headerElsewhere(challengeIn(refusal), request.onSend);
    const asked = { ...request, authorizeElsewhere };
    const answer = await this.#transport.send(withAuthorization(asked, first.value));
    if (answer.kind !== 'ok' || answer.value.statusCode !== 401 || answer.value.redirected) return answer;
    const second = await deadline.bound(
      authorization.retry(challengeIn(answer.value), question, first.value),
    );
    const header = second.kind === 'ok' ? second.value : first.value;
    if (header === undefined) return answer;
    discard(answer.value);
    if (second.kind !== 'ok') return second;
    throwIfNobodyWaits();
    const last = await this.#transport.send(withAuthorization(asked, header));
    if (last.kind !== 'ok' || last.value.statusCode !== 401 || last.value.redirected) return last;
    const trouble = authorization.tokenTrouble(challengeIn(last.value), header);
    if (trouble === undefined) return last;
    discard(last.value);
    return trouble;
  }

  /** Judges an answer: a success, a denial or a failure. A body that nobody wants is dropped. */
  async #judge(
    account: Account,
    response: UpstreamResponse,
    request: ResourceRequest,
    as: UpstreamIdentity,
  ): Promise<UpstreamResult<UpstreamResponse>> {
    const { host, credential } = account.upstream;
    const { headers, statusCode: status, redirected } = response;
    const now = this.#clock();
    if (as === 'account' || credential === undefined) this.#quotaSeen(account, as, readQuota(headers, now));
    if (status === 200 || (request.redirectIsYes === true && isRedirect(response))) return ok(response);
    if (status === 206 && request.headers?.range !== undefined) return ok(response);
    const ofBlob = request.resource.startsWith('blobs/');
    // A redirect leads to existing content, but a URL that was signed for GET may refuse the HEAD.
    if (redirected && ofBlob && request.method === 'HEAD') return ok(response);
    if (status === 416) return refuse(response, 'unfit', `${host}: the blob ends before the range begins`);
    // A storage that lost an object says nothing about the repository that names it.
    if (redirected && status !== 429 && (ofBlob || status !== 404))
      return refuse(
        response,
        'failed',
        `${host}: the host that it redirects to, ${response.host}, answers ${status}`,
      );
    if (isAbsent(response, request)) {
      discard(response);
      return denied('not-found');
    }
    return refusalOf(response, request, host, readRetryAfter(headers['retry-after'], now));
  }

  #configured(host: UpstreamHost): UpstreamAccounts {
    const upstream = this.#upstreams.get(host);
    if (upstream === undefined) throw new Error(`no upstream ${host} is configured`);
    return upstream;
  }

  [Symbol.dispose](): void {
    for (const accounts of this.#upstreams.values()) accounts[Symbol.dispose]();
  }
}

function challengeIn({ headers }: UpstreamResponse): UpstreamChallenges {
  return headers['www-authenticate'];
}

/** True if the registry says in its own way that there is no such resource. */
function isAbsent(response: UpstreamResponse, { absentBy = [] }: ResourceRequest): boolean {
  const { statusCode, redirected } = response;
  return !redirected && absentBy.includes(statusCode) && !(statusCode === 404 && isPage(response));
}

/**
 * True if a status may mean that the login is invalid, rather than say something about the repository. ECR
 * answers 403 to a login that has ended: https://github.com/docker/docker-py/issues/1170
 */
function mayBeOfLogin(status: number, { credential }: UpstreamOptions): boolean {
  return status === 401 || (status === 403 && credential !== undefined && 'helper' in credential);
}

/**
 * True if the request counts as a pull: Docker Hub counts GETs of manifests, and says so only to accounts with
 * a limit.
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
  { repository, method, resource, headers, redirectIsYes, onSend }: SentResource,
  { signal }: Deadline,
): UpstreamRequest {
  return {
    method,
    url: resourceUrl(upstream.url, repository.path, resource),
    ...(headers && { headers }),
    upstream,
    follows: redirectIsYes !== true,
    about: repository.name,
    signal,
    onSend,
  };
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

function withAuthorization(request: UpstreamRequest, header: AuthorizationHeader): UpstreamRequest {
  return header.value === undefined
    ? request
    : { ...request, headers: { ...request.headers, authorization: header.value } };
}

function refuse(
  response: UpstreamResponse,
  cause: 'unfit' | 'failed',
  detail: string,
): UpstreamResult<never> {
  discard(response);
  return unavailable(cause, detail);
}

async function refusalOf(
  response: UpstreamResponse,
  { method }: ResourceRequest,
  host: string,
  retryAfter: number | undefined,
): Promise<UpstreamResult<never>> {
  const { statusCode: status } = response;
  if (![401, 403, 404].includes(status)) {
    discard(response);
    return unavailableByStatus(status, `${host}: ${status}`, retryAfter);
  }
  if (await isRefusalOfRegistry(response, method)) {
    if (status === 403) return { kind: 'denied', reason: 'unauthorized', isForbidden: true };
    return denied(status === 404 ? 'not-found' : 'unauthorized');
  }
  const what = displayedType(typeOf(response)) ?? 'no valid type';
  return unavailableByStatus(status, `${host}: ${status} with ${what}, which is not how a registry refuses`);
}
