import type { AuditLine } from '../../protocol/audit-line.ts';
import type { RepositoryRoute } from '../../registry/route.ts';
import { type IdentifiedRequest, subjectText } from '../authentication/request-keys.ts';
import type { AccessDecision } from '../authorization/authorize.ts';
import { sumOf } from '../clients/accounting.ts';
import type { CoreAnswer, PullAccounting } from '../clients/core-client.ts';

/** A request that gets a line in the audit log. */
export interface ReceivedRequest extends IdentifiedRequest {
  /** The time by the monotonic clock. */
  readonly started: number;
}

/** A request about a repository, with what is known of it when it has been answered. */
export interface RepositoryRequest extends ReceivedRequest {
  readonly route: RepositoryRoute;
  /** The accounting of each request to the core so far. */
  readonly accountings: readonly PullAccounting[];
}

export type DeliveryResult = Pick<AuditLine, 'status'> &
  Partial<Pick<AuditLine, 'bytes' | 'cache' | 'digest' | 'limit' | 'held'>>;

/**
 * Returns the line of a request that the policy has decided. `result.digest` is the digest that a tag
 * resolved to.
 */
export function repositoryLine(
  asked: RepositoryRequest,
  decision: AccessDecision,
  result: DeliveryResult,
): AuditLine {
  const { route, accountings } = asked;
  const { status, bytes, cache, limit, held } = result;
  return {
    action: route.kind === 'tags' || route.kind === 'referrers' ? route.kind : 'pull',
    ...callerLine(asked),
    repository: route.repository.name,
    ...requestedReference(route, result.digest),
    ...whyOf(decision),
    decision: decision.kind === 'granted' ? 'allow' : 'deny',
    status,
    ...(bytes !== undefined && { bytes }),
    ...(cache !== undefined && { cache }),
    ...(limit !== undefined && { limit }),
    ...(held !== undefined && { held }),
    ...sumOf(accountings).cost,
  };
}

/** Says which rule decided, or why the request was refused without one. */
export function whyOf(decision: AccessDecision): Pick<AuditLine, 'rule' | 'reason'> {
  return {
    ...(decision.rule !== undefined && { rule: decision.rule }),
    ...(decision.kind === 'refused' && decision.reason !== undefined && { reason: decision.reason }),
  };
}

/** Returns the fields that every line of the distribution API has. */
export function callerLine({
  request,
  authentication,
  address,
  started,
}: ReceivedRequest): Pick<
  AuditLine,
  'subject' | 'credential' | 'address' | 'agent' | 'method' | 'milliseconds'
> {
  const agent = request.headers['user-agent'];
  return {
    subject: subjectText(authentication),
    ...(authentication.kind === 'authenticated' && { credential: authentication.credential }),
    address,
    ...(agent !== undefined && { agent }),
    method: request.method ?? '',
    milliseconds: Math.round(performance.now() - started),
  };
}

export function cacheFields(answer: CoreAnswer): Partial<DeliveryResult> {
  return {
    ...('cache' in answer && { cache: answer.cache }),
    ...(answer.kind === 'refused' && answer.age !== undefined && { cache: 'stale' }),
    ...(answer.kind === 'manifest' && { digest: answer.digest }),
    ...('held' in answer && { held: answer.held }),
    ...(answer.kind === 'refused' && answer.quota && { limit: answer.quota.id ?? answer.quota.kind }),
  };
}

function requestedReference(
  route: RepositoryRoute,
  resolved: string | undefined,
): Pick<AuditLine, 'tag' | 'digest'> {
  if (route.kind === 'tags') return {};
  if (route.kind !== 'manifest') return { digest: route.digest };
  const { reference } = route;
  if (reference.kind === 'digest') return { digest: reference.digest };
  return { tag: reference.tag, ...(resolved !== undefined && { digest: resolved }) };
}
