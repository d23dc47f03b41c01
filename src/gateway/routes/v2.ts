import type { IncomingMessage, ServerResponse } from 'node:http';
import { PeerUnreachable } from '../../platform/ipc/http-client.ts';
import type { Logger } from '../../platform/log.ts';
import { QueueFullError } from '../../platform/scheduling/fair-queue.ts';
import type { AuditLine } from '../../protocol/audit-line.ts';
import type { BearerChallenge } from '../../registry/challenge.ts';
import { ERRORS, type ErrorName } from '../../registry/error.ts';
import { isOneRange } from '../../registry/range.ts';
import type { Tag } from '../../registry/reference.ts';
import type { UpstreamNames } from '../../registry/repository.ts';
import { parseTarget, type RepositoryRoute } from '../../registry/route.ts';
import type { Audit } from '../audit/audit.ts';
import {
  callerLine,
  callerOf,
  howItCame,
  type ReceivedRequest,
  type RepositoryRequest,
  repositoryLine,
  shareOf,
  subjectKeyOf,
} from '../audit/audit-record.ts';
import type { AuthenticateClient, Authentication } from '../authentication/authenticate-client.ts';
import type { AccessDecision, AccessRequest, Authorize, AuthorizeNow } from '../authorization/authorize.ts';
import { sumOf } from '../clients/accounting.ts';
import { type CoreAnswer, type CoreClient, type PullAccounting, PullFailed } from '../clients/core-client.ts';
import { deliver } from '../delivery/deliver.ts';
import { requestedRange } from '../delivery/requested-range.ts';
import type { AddressOf } from '../http/client-address.ts';
import type { InFlight } from '../http/in-flight.ts';
import { refuse, respond } from '../http/respond.ts';
import { ClientGone } from '../http/response-body.ts';
import { answerCatalog, type CatalogRequest } from './catalog.ts';
import { permittedTags } from './permitted-tags.ts';

export interface V2Dependencies {
  readonly names: UpstreamNames;
  readonly addressOf: AddressOf;
  readonly authenticate: AuthenticateClient;
  readonly authorizeNow: AuthorizeNow;
  readonly core: CoreClient;
  readonly audit: Audit;
  readonly log: Logger;
  /**
   * The place where tokens are issued, and their audience. Absent if nobody can log in, so that nobody is
   * challenged.
   */
  readonly challenge?: Pick<BearerChallenge, 'realm' | 'service'>;
  /** True if `_catalog` is served. */
  readonly catalog: boolean;
  /** The requests in flight of known subjects. */
  readonly subjects: InFlight;
}

/** The scope that clients request to list repositories. `registry` is docker's own type for it. */
const CATALOG_SCOPE = 'registry:catalog:*';

/** A request of the distribution API, with what is known of it so far. */
interface Pull extends RepositoryRequest {
  readonly response: ServerResponse;
  readonly method: 'GET' | 'HEAD';
  readonly permit: Authorize;
  readonly accountings: PullAccounting[];
}

/**
 * Handles a pull from its raw target to its audit line: parse, authenticate, authorize, ask the core,
 * deliver, record.
 */
export async function answerV2(
  request: IncomingMessage,
  response: ServerResponse,
  dependencies: V2Dependencies,
): Promise<void> {
  const started = performance.now();
  const address = dependencies.addressOf(request);
  const { method } = request;
  if (method === 'OPTIONS') return answerOptions(response);
  const parsed = parseTarget(request.url ?? '', dependencies.names);
  if ('refusal' in parsed) return refuse(response, { error: parsed.refusal });
  const { route } = parsed;
  if (route.kind === 'upload' || (method !== 'GET' && method !== 'HEAD')) {
    return refuse(response, { error: 'UNSUPPORTED', headers: { allow: 'GET, HEAD' } });
  }
  const admission = await dependencies.authenticate(request, { ignoreCertificate: route.kind === 'ping' });
  if (admission.kind === 'admitted' && !dependencies.subjects.enter(shareOf(admission, address), response))
    return refuse(response, { error: 'TOO_MANY_REQUESTS', retryAfter: 1 });
  if (route.kind === 'ping') return answerPing(response, admission, dependencies);
  const asking: ReceivedRequest = { request, admission, address, started };
  if (route.kind === 'catalog') return listCatalog(response, { ...asking, page: route.page }, dependencies);
  return answerRepository(
    { ...asking, response, method, route, permit: dependencies.authorizeNow(), accountings: [] },
    dependencies,
  );
}

/** Answers with the methods that are served (RFC 9110 §9.3.7). The answer is the same for every target. */
function answerOptions(response: ServerResponse): void {
  respond(response, 204, { allow: 'GET, HEAD, OPTIONS' });
  response.end();
}

async function listCatalog(
  response: ServerResponse,
  asked: CatalogRequest,
  dependencies: V2Dependencies,
): Promise<void> {
  const { admission } = asked;
  if (!dependencies.catalog)
    return refuse(response, { error: 'NAME_UNKNOWN', message: 'the catalog is not served' });
  if (admission.kind === 'admitted') await answerCatalog(response, asked, dependencies);
  else refuseUnknown(response, admission, dependencies, CATALOG_SCOPE);
  const decision = admission.kind === 'admitted' ? 'allow' : 'deny';
  dependencies.audit({ action: 'catalog', ...callerLine(asked), decision, status: response.statusCode });
}

async function answerRepository(pull: Pull, dependencies: V2Dependencies): Promise<void> {
  const { admission, route, permit, address } = pull;
  const permission = permit(admission, { ...whatIsPulled(route), address });
  if (permission.kind === 'refused') {
    refusePull(pull, permission, dependencies);
    return dependencies.audit(repositoryLine(pull, permission, { status: ERRORS[permission.error].status }));
  }
  const result = await deliverPull(pull, permission.private, dependencies);
  await recordPull(repositoryLine(pull, permission, result), pull, dependencies);
}

/**
 * Delivers a pull. If the core interrupts a fill, the gateway asks again. If the core then passes the blob on
 * without caching, the record says so.
 */
async function deliverPull(pull: Pull, reachesPrivate: boolean, dependencies: V2Dependencies) {
  const answer = await answerOf(pull, reachesPrivate, dependencies).catch(unlessGone);
  let last = answer;
  const again = async () => {
    last = await handOver(pull, reachesPrivate, dependencies);
    return last;
  };
  const { failure, ...delivered } = await deliver({ ...pull, again }, answer);
  if (failure !== undefined) logFailure(pull, failure, dependencies);
  return { ...delivered, ...howItCame(last.kind === 'blob-stream' ? last : answer) };
}

/** A request whose client has gone was decided too, so it is recorded. */
function unlessGone(error: unknown): CoreAnswer {
  if (error instanceof ClientGone) return { kind: 'refused', error: 'UNAVAILABLE' };
  throw error;
}

/** The core reports to which pull a request belongs. For a cache hit it does so a moment later. */
async function recordPull(line: AuditLine, { accountings }: Pull, { audit }: V2Dependencies): Promise<void> {
  const pull = await sumOf(accountings).pull;
  audit(pull === undefined ? line : { ...line, pull });
}

/** Returns the tag if the request resolves one. Every other request is decided by its repository alone. */
function whatIsPulled(route: RepositoryRoute): Pick<AccessRequest, 'repository' | 'tag'> {
  const { repository } = route;
  return route.kind === 'manifest' && route.reference.kind === 'tag'
    ? { repository, tag: route.reference.tag }
    : { repository };
}

/**
 * Docker logs in through this endpoint. A client that presents no login is challenged here, even if anonymous
 * may pull something, and even if it has a client certificate. Without the challenge docker and podman would
 * never present their login, and `docker login` would accept any password. A client without a login fetches a
 * token for the subject of its certificate here.
 */
function answerPing(response: ServerResponse, admission: Authentication, dependencies: V2Dependencies): void {
  if (admission.kind === 'admitted' || dependencies.challenge === undefined) {
    respond(response, 200, { 'content-type': 'application/json', 'content-length': 2 });
    response.end('{}');
  } else refuseUnknown(response, admission, dependencies);
}

function refuseUnknown(
  response: ServerResponse,
  admission: Authentication,
  dependencies: V2Dependencies,
  scope?: string,
): void {
  if (dependencies.challenge === undefined) return refuse(response, { error: 'DENIED' });
  const error = admission.kind === 'rejected' ? admission.error : 'UNAUTHORIZED';
  refuse(response, { error, ...advice(error, { scope }, dependencies) });
}

function refusePull(
  { response, admission }: Pick<Pull, 'response' | 'admission'>,
  refused: AccessDecision & { kind: 'refused' },
  dependencies: V2Dependencies,
): void {
  const { error, scope, because } = refused;
  const isOfCertificate = admission.certificateFault !== undefined;
  refuse(response, {
    error,
    ...advice(error, { scope, because, isOfCertificate }, dependencies),
    ...(because !== undefined && { message: because }),
  });
}

const REASONS: Readonly<Partial<Record<ErrorName, BearerChallenge['error']>>> = {
  INVALID_TOKEN: 'invalid_token',
  INSUFFICIENT_SCOPE: 'insufficient_scope',
};

interface Advised {
  readonly scope?: string | undefined;
  readonly because?: string | undefined;
  /** True if the reason is about the presented client certificate. */
  readonly isOfCertificate?: boolean;
}

/**
 * A 401 has exactly one challenge, never Basic. A challenge with an error code stops clients from retrying
 * the same credential. Its description says no more than the body, which many clients do not display.
 */
function advice(
  error: ErrorName,
  { scope, because, isOfCertificate }: Advised,
  { challenge }: V2Dependencies,
): { challenge?: BearerChallenge; retryAfter?: number } {
  if (error === 'TOO_MANY_LOGINS' || error === 'TOO_MANY_REQUESTS') return { retryAfter: 1 };
  if (ERRORS[error].status !== 401 || challenge === undefined) return {};
  const reason = REASONS[error];
  return {
    challenge: {
      ...{ ...challenge, ...(scope !== undefined && { scope }), ...(reason && { error: reason }) },
      ...(because !== undefined && (reason || isOfCertificate) && { description: because }),
    },
  };
}

/** Asks the core, and takes out of a list of tags those that the caller may not resolve. */
async function answerOf(
  pull: Pull,
  reachesPrivate: boolean,
  dependencies: V2Dependencies,
): Promise<CoreAnswer> {
  const answer = await handOver(pull, reachesPrivate, dependencies, oneRange(pull));
  const { admission, permit, address, route } = pull;
  if (route.kind !== 'tags' || answer.kind !== 'document') return answer;
  const { repository } = route;
  const permitTag = (tag: Tag) => permit(admission, { repository, tag, address });
  const isPublic = async () => (await handOver(pull, false, dependencies)).kind === 'document';
  const bytes = await permittedTags(answer.bytes, { permitTag, reachesPrivate, isPublic });
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

async function handOver(
  pull: Pull,
  reachesPrivate: boolean,
  dependencies: V2Dependencies,
  range?: string,
): Promise<CoreAnswer> {
  const { route, method, accountings, admission, address } = pull;
  const { signal } = pull.request;
  try {
    const caller = callerOf(pull);
    const share = shareOf(admission, address);
    const subjectKey = subjectKeyOf(pull);
    const asked = { method, private: reachesPrivate, caller, subjectKey, share, signal, range };
    const answer = await dependencies.core.pull(route, asked);
    if (answer.accounting !== undefined) accountings.push(answer.accounting);
    return answer;
  } catch (thrown) {
    if (thrown instanceof PullFailed) accountings.push(thrown.accounting);
    const error = thrown instanceof PullFailed ? thrown.cause : thrown;
    if (signal.aborted) throw new ClientGone();
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

function logFailure({ route }: Pull, failure: Error, { log }: V2Dependencies): void {
  if (failure instanceof ClientGone) return;
  log.error({ repository: route.repository.name, reason: failure.message }, 'an answer was cut short');
}
