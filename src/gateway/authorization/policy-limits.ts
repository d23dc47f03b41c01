/**
 * Says which limits and reserves of the policy concern a pull, in the form in which the core reads them. The
 * core counts and decides; it learns no names of subjects.
 */
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { type LimitQuestion, limitsFor, reservesFor } from '../../access/limits.ts';
import type { Policy } from '../../access/policy.ts';
import type { LimitData, ReserveData } from '../../access/policy-data.ts';
import { ANONYMOUS, formatSubject } from '../../access/subject.ts';
import type { Budget, Reserved } from '../../protocol/core-api.ts';
import type { UpstreamHost } from '../../registry/repository.ts';
import type { DirectoryGroups } from '../authentication/active-credentials.ts';
import type { Authentication } from '../authentication/authenticate-client.ts';
import { addressKey, type ClientAddress } from '../http/client-address.ts';
import type { PolicySubscription } from './policy-subscription.ts';

/** The values of the headers of a request to the core. Each is absent if there is nothing to say. */
export interface SpendingHeaders {
  readonly budgets?: string;
  readonly reserved?: string;
}

/** The client of a pull, and the upstream that it pulls from. */
export interface PullingClient {
  readonly authentication: Authentication;
  readonly address: ClientAddress;
  readonly upstream: UpstreamHost;
}

export interface PolicyLimits {
  headersFor(client: PullingClient): SpendingHeaders;
  limit(id: string | undefined): LimitData | undefined;
  reserve(id: string | undefined): ReserveData | undefined;
}

/** The most clients whose headers are kept. */
const MOST_KEPT = 10_000;
const NOTHING: SpendingHeaders = {};

export function followPolicyLimits(
  subscription: PolicySubscription,
  groupsOf: DirectoryGroups,
): PolicyLimits {
  const kept = new LRUCache<string, SpendingHeaders>({ max: MOST_KEPT });
  let keptFor: Policy | undefined;
  return {
    headersFor(client) {
      const policy = subscription.current;
      const { limits, reserves } = policy.limits;
      if (limits.length + reserves.length === 0) return NOTHING;
      if (keptFor !== policy) kept.clear();
      keptFor = policy;
      const principal = principalOf(client.authentication, groupsOf);
      const key = keyOf(policy, client, principal);
      const known = kept.get(key);
      if (known !== undefined) return known;
      const headers = headersBy(policy, client, principal);
      kept.set(key, headers);
      return headers;
    },
    limit: (id) => subscription.current.data.limits?.find((limit) => limit.id === id),
    reserve: (id) => subscription.current.data.reserves?.find((reserve) => reserve.id === id),
  };
}

/** Returns a text that is the same only for clients with the same headers. */
function keyOf(
  { limits: { limits } }: Policy,
  { address, upstream }: PullingClient,
  { subject, groups }: LimitedPrincipal,
): string {
  const dependsOnAddress = subject.kind === 'anonymous' || limits.some(({ from }) => from !== undefined);
  return JSON.stringify([upstream, formatSubject(subject), groups, dependsOnAddress && address]);
}

type LimitedPrincipal = Required<Pick<LimitQuestion, 'subject' | 'groups'>>;

function principalOf(authentication: Authentication, groupsOf: DirectoryGroups): LimitedPrincipal {
  const subject = authentication.kind === 'rejected' ? ANONYMOUS : authentication.subject;
  return { subject, groups: groupsOf(subject) };
}

function headersBy(
  { limits }: Policy,
  { address, upstream }: PullingClient,
  { subject, groups }: LimitedPrincipal,
): SpendingHeaders {
  const question = { subject, groups, address, upstream };
  const budgets = limitsFor(limits, question).map((limit) => budgetOf(limit, { subject, address }));
  const { others } = reservesFor(limits, question);
  return {
    ...(budgets.length > 0 && { budgets: JSON.stringify(budgets) }),
    ...(others.length > 0 && { reserved: JSON.stringify(reservedOf(others)) }),
  };
}

/**
 * Returns the budget of a subject for a limit. Anonymous clients are told apart by their addresses, as
 * everywhere else.
 */
export function budgetOf(
  { id, each, pulls, bytes }: LimitData,
  { subject, address }: Pick<LimitQuestion, 'subject'> & { readonly address: ClientAddress },
): Budget {
  const who = subject.kind === 'anonymous' ? addressKey(address) : formatSubject(subject);
  const key = each ? `${id} ${hash('sha256', who, 'base64url')}` : id;
  return { limit: id, key, ...(pulls && { pulls }), ...(bytes && { bytes }) };
}

function reservedOf(others: readonly ReserveData[]): Reserved {
  const sum = others.reduce((share, { keep }) => share + keep, 0);
  // The sum of decimal fractions is not exact, and the core takes no more than all.
  return { share: Math.min(1, Number(sum.toFixed(6))), ids: others.map(({ id }) => id) };
}
