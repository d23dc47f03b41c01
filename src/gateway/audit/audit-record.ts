import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { ANONYMOUS, formatSubject } from '../../access/subject.ts';
import type { AuditLine } from '../../protocol/audit-line.ts';
import type { RepositoryRoute } from '../../registry/route.ts';
import type { Authentication } from '../authentication/authenticate-client.ts';
import type { AccessDecision } from '../authorization/authorize.ts';
import { sumOf } from '../clients/accounting.ts';
import type { CoreAnswer, PullAccounting } from '../clients/core-client.ts';
import { addressKey, type ClientAddress } from '../http/client-address.ts';

/** A request of which something is to be recorded, and its sender. */
export interface ReceivedRequest {
  readonly request: IncomingMessage;
  readonly authentication: Authentication;
  readonly address: ClientAddress;
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
    ...whatWasAsked(route, result.digest),
    ...(decision.rule !== undefined && { rule: decision.rule }),
    decision: decision.kind === 'granted' ? 'allow' : 'deny',
    status,
    ...(bytes !== undefined && { bytes }),
    ...(cache !== undefined && { cache }),
    ...(limit !== undefined && { limit }),
    ...(held !== undefined && { held }),
    ...sumOf(accountings).cost,
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

export function howItCame(answer: CoreAnswer): Partial<DeliveryResult> {
  return {
    ...('cache' in answer && { cache: answer.cache }),
    ...(answer.kind === 'refused' && answer.age !== undefined && { cache: 'stale' }),
    ...(answer.kind === 'manifest' && { digest: answer.digest }),
    ...('held' in answer && { held: answer.held }),
    ...(answer.kind === 'refused' && answer.quota && { limit: answer.quota.id ?? answer.quota.kind }),
  };
}

/** Returns what the core takes for one caller: a subject at an address with one client. */
export type CallerOf = (received: ReceivedRequest) => string;

interface ConnectionCaller {
  readonly subject: string;
  readonly address: ClientAddress;
  readonly agent: string;
  readonly caller: string;
}

/**
 * A caller is a hash, so that the core need not know what it is made of, and so that a long text cannot fill its memory.
 * The last one of each connection is cached, because the requests of a connection usually have the same caller.
 */
export function createCallerOf(): CallerOf {
  const last = new WeakMap<Socket, ConnectionCaller>();
  return ({ authentication, address, request }) => {
    const agent = request.headers['user-agent'] ?? '';
    const subject = subjectText(authentication);
    const known = last.get(request.socket);
    if (known?.subject === subject && known.address === address && known.agent === agent) return known.caller;
    const caller = hash('sha256', JSON.stringify([subject, address, agent]), 'base64url');
    last.set(request.socket, { subject, address, agent, caller });
    return caller;
  };
}

/**
 * Returns what the core takes for one subject, whose share of an upstream is bounded. It is a hash too, and it
 * does not depend on the client's name, because the client chooses that.
 */
export function subjectKeyOf({ authentication, address }: ReceivedRequest): string {
  return hash('sha256', shareOf(authentication, address), 'base64url');
}

/**
 * Returns whose share of a bounded resource a request takes: the subject's, or the address's for clients
 * without an identity.
 */
export function shareOf(authentication: Authentication, address: ClientAddress): string {
  return authentication.kind === 'authenticated'
    ? formatSubject(authentication.subject)
    : addressKey(address);
}

function subjectText(authentication: Authentication): string {
  return formatSubject(authentication.kind === 'rejected' ? ANONYMOUS : authentication.subject);
}

function whatWasAsked(
  route: RepositoryRoute,
  resolved: string | undefined,
): Pick<AuditLine, 'tag' | 'digest'> {
  if (route.kind === 'tags') return {};
  if (route.kind !== 'manifest') return { digest: route.digest };
  const { reference } = route;
  if (reference.kind === 'digest') return { digest: reference.digest };
  return { tag: reference.tag, ...(resolved !== undefined && { digest: resolved }) };
}
