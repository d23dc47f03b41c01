import { PeerUnreachable } from '../../platform/ipc/http-client.ts';
import { QueueFullError } from '../../platform/scheduling/fair-queue.ts';
import { ERRORS } from '../../registry/error.ts';
import { isOneRange } from '../../registry/range.ts';
import type { Tag } from '../../registry/reference.ts';
import type { RepositoryRoute } from '../../registry/route.ts';
import { cacheFields, repositoryLine } from '../audit/audit-record.ts';
import { shareOf, subjectKeyOf } from '../authentication/request-keys.ts';
import type { AccessRequest } from '../authorization/authorize.ts';
import { sumOf } from '../clients/accounting.ts';
import { type CoreAnswer, PullFailed } from '../clients/core-client.ts';
import { deliver } from '../delivery/deliver.ts';
import { requestedRange } from '../delivery/requested-range.ts';
import { refuse } from '../http/respond.ts';
import { ClientGone } from '../http/response-body.ts';
import { permittedTags } from './permitted-tags.ts';
import { quotaMessage } from './quota-message.ts';
import { accessRefusal } from './refuse-access.ts';
import type { Pull, V2Dependencies, V2State, V2Step } from './v2-request.ts';

/**
 * Records a pull when the steps after this one have answered it. The core reports to which pull a request
 * belongs. For a cache hit it does so a moment later.
 */
export function recordPull({ audit }: V2Dependencies): V2Step {
  return async ({ state }, next) => {
    await next();
    const { pull, decision, result } = state;
    const line = repositoryLine(pull, decision, result);
    const id = await sumOf(pull.accountings).pull;
    audit(id === undefined ? line : { ...line, pull: id });
  };
}

/** Decides a pull before anything is looked up. */
export function authorizePull(dependencies: V2Dependencies): V2Step {
  return ({ res, state }, next) => {
    const { authentication, route, address } = state.pull;
    state.authorize = dependencies.authorizeNow();
    const decision = state.authorize(authentication, { action: 'pull', ...pullTarget(route), address });
    state.decision = decision;
    if (decision.kind === 'refused') {
      refuse(res, accessRefusal(authentication, decision, dependencies));
      state.result = { status: ERRORS[decision.error].status };
      return;
    }
    state.reachesPrivate = decision.private;
    return next();
  };
}

/** Returns the tag if the request resolves one. Every other request is decided by its repository alone. */
function pullTarget(route: RepositoryRoute): Pick<AccessRequest, 'repository' | 'tag'> {
  const { repository } = route;
  return route.kind === 'manifest' && route.reference.kind === 'tag'
    ? { repository, tag: route.reference.tag }
    : { repository };
}

/** Asks the core. A request whose client has gone was decided too, so the steps around this one record it. */
export function fetchFromCore(dependencies: V2Dependencies): V2Step {
  return async ({ state }, next) => {
    try {
      state.answer = await answerOf(state, dependencies);
    } catch (error) {
      if (!(error instanceof ClientGone)) throw error;
      state.answer = { kind: 'refused', error: 'UNAVAILABLE' };
    }
    return next();
  };
}

/** Asks the core, and removes from a list of tags those that the caller may not pull. */
async function answerOf(
  { pull, authorize, reachesPrivate }: V2State,
  dependencies: V2Dependencies,
): Promise<CoreAnswer> {
  const answer = await askCore(pull, reachesPrivate, dependencies, oneRange(pull));
  const { authentication, address, route } = pull;
  if (route.kind !== 'tags' || answer.kind !== 'document') return answer;
  const { repository } = route;
  const authorizeTag = (tag: Tag) => authorize(authentication, { action: 'pull', repository, tag, address });
  const isPublic = async () => (await askCore(pull, false, dependencies)).kind === 'document';
  const bytes = await permittedTags(answer.bytes, { authorizeTag, reachesPrivate, isPublic });
  return bytes === undefined ? { kind: 'refused', error: 'UPSTREAM_FAILED' } : { ...answer, bytes };
}

/**
 * Returns the single wanted range, because a part of a blob can arrive before the rest only if no other part
 * is wanted.
 */
function oneRange({ route, request }: Pull): string | undefined {
  const range = route.kind === 'blob' ? requestedRange(request, route.digest) : undefined;
  return range !== undefined && isOneRange(range) ? range : undefined;
}

/**
 * Delivers the answer. If the core interrupts a fill, the gateway asks again. If the core then passes the
 * blob on without caching, the record says so.
 */
export function deliverAnswer(dependencies: V2Dependencies): V2Step {
  return async (context) => {
    const { req: request, res: response, state } = context;
    const { pull, answer, reachesPrivate } = state;
    // The bytes bypass Koa: they go from a file to the connection at the pace of both, in buffers that are
    // used again, and a failure in the middle ends the connection. Koa would append an answer of its own.
    context.respond = false;
    let last = answer;
    const askAgain = async () => {
      last = await askCore(pull, reachesPrivate, dependencies);
      return last;
    };
    const to = {
      ...{ request, response, route: pull.route, askAgain },
      ...{ pool: dependencies.pool, names: dependencies.names },
    };
    const { status, bytes, failure } = await deliver(to, answer);
    if (failure !== undefined) logFailure(pull, failure, dependencies);
    state.result = { status, bytes, ...cacheFields(last.kind === 'blob-stream' ? last : answer) };
  };
}

function logFailure({ route }: Pull, failure: Error, { log }: V2Dependencies): void {
  if (failure instanceof ClientGone) return;
  log.error({ repository: route.repository.name, reason: failure.message }, 'an answer was cut short');
}

/** Sends one request to the core, and adds what it costs to the pull. */
async function askCore(
  pull: Pull,
  reachesPrivate: boolean,
  dependencies: V2Dependencies,
  range?: string,
): Promise<CoreAnswer> {
  const { route, method, accountings, authentication, address } = pull;
  const { limits, callerOf } = dependencies;
  const { upstream } = route.repository;
  try {
    const answer = await dependencies.core.pull(route, {
      method,
      private: reachesPrivate,
      caller: callerOf(pull),
      signal: () => pull.request.signal,
      range,
      share: shareOf(authentication, address),
      subjectKey: () => subjectKeyOf(pull),
      spending: () => limits.headersFor({ authentication, address, upstream }),
    });
    if (answer.accounting !== undefined) accountings.push(answer.accounting);
    return answer.kind === 'refused' && answer.quota !== undefined
      ? {
          ...answer,
          message: quotaMessage(answer.quota, {
            authentication,
            upstream,
            limits,
            now: dependencies.clock(),
          }),
        }
      : answer;
  } catch (thrown) {
    if (thrown instanceof PullFailed) accountings.push(thrown.accounting);
    const error = thrown instanceof PullFailed ? thrown.cause : thrown;
    if (pull.request.signal.aborted) throw new ClientGone();
    if (error instanceof QueueFullError)
      return { kind: 'refused', error: 'TOO_MANY_REQUESTS', retryAfter: 1 };
    dependencies.log.error(
      {
        repository: route.repository.name,
        ...(error instanceof PeerUnreachable ? { reason: error.message } : { err: error }),
      },
      'the core does not answer',
    );
    return { kind: 'refused', error: 'UNAVAILABLE' };
  }
}
