/**
 * Authorizes a request by the intersection of the token's scope and the current policy. It decides before
 * anything is looked up, so that a refusal never depends on what exists. This module depends on `access`, and
 * must not know the core.
 */
import { type Decision, decide, type Policy } from '../../access/policy.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Action } from '../../registry/action.ts';
import type { ErrorName } from '../../registry/error.ts';
import type { Tag } from '../../registry/reference.ts';
import { familiarName, type Repository, type UpstreamNames } from '../../registry/repository.ts';
import { formatScope } from '../../registry/scope.ts';
import type { DirectoryGroups } from '../authentication/active-credentials.ts';
import type { Authentication } from '../authentication/authenticate-client.ts';
import { certificateFaultText } from '../authentication/certificate-fault.ts';
import type { ClientAddress } from '../http/client-address.ts';
import type { PolicySubscription } from './policy-subscription.ts';

export type AccessDecision =
  | { readonly kind: 'granted'; readonly rule: string; readonly private: boolean }
  | {
      readonly kind: 'refused';
      readonly error: ErrorName;
      /** The scope that a token would need. It belongs to a 401. */
      readonly scope?: string;
      /** The rule that denies, for the audit line, and its reason, for the caller. */
      readonly rule?: string;
      readonly because?: string;
      /** The reason for the audit line, if it is no rule that denies. */
      readonly reason?: string;
    };

export type Authorize = (authentication: Authentication, asked: AccessRequest) => AccessDecision;

export interface AccessRequest {
  readonly action: Action;
  readonly repository: Repository;
  /** The tag that the request resolves; absent if it does not resolve one. */
  readonly tag?: Tag;
  /** True if the request concerns every tag, whichever there are. */
  readonly everyTag?: boolean;
  readonly address: ClientAddress;
}

/**
 * Takes the policy of the moment at which it is called: one request is decided by one version, however long
 * it takes.
 */
export type AuthorizeNow = () => Authorize;

export interface AuthorizeOptions {
  readonly policy: PolicySubscription;
  readonly names: Pick<UpstreamNames, 'hosted'>;
  readonly groupsOf: DirectoryGroups;
  readonly clock: Clock;
}

/** The holder of a token may learn this, because it says nothing about the repository. */
const LIMITED_TOKEN = 'the token is limited, and does not allow this';

export function createAuthorize({ policy, clock, ...options }: AuthorizeOptions): AuthorizeNow {
  return () => authorizeBy(policy.current, options, clock());
}

function authorizeBy(
  policy: Policy,
  { names, groupsOf }: Pick<AuthorizeOptions, 'names' | 'groupsOf'>,
  at: number,
): Authorize {
  return (authentication, asked) => {
    const { action, repository } = asked;
    if (authentication.kind === 'rejected')
      return {
        kind: 'refused',
        error: authentication.error,
        scope: neededScope(asked, names),
        ...faultReason(authentication),
        ...(authentication.message !== undefined && { because: authentication.message }),
      };
    if (
      authentication.kind === 'authenticated' &&
      authentication.restriction?.allows(action, repository, asked.address) === false
    )
      return { kind: 'refused', error: 'DENIED', because: LIMITED_TOKEN, reason: LIMITED_TOKEN };
    const groups = groupsOf(authentication.subject);
    const decision = decide(policy, { ...asked, subject: authentication.subject, groups, at });
    if (decision.decision === 'deny') return refusal(authentication, decision, neededScope(asked, names));
    if (authentication.kind === 'authenticated' && !isGranted(authentication, asked))
      return { kind: 'refused', error: 'INSUFFICIENT_SCOPE', scope: neededScope(asked, names) };
    return { kind: 'granted', rule: decision.rule, private: decision.private };
  };
}

/**
 * The actions of the scope that a client needs. Whoever pushes reads too, because clients look before they
 * push.
 */
const NEEDED: Readonly<Record<Action, readonly Action[]>> = {
  pull: ['pull'],
  push: ['pull', 'push'],
  delete: ['delete'],
};

/** Returns the scope of a token that would be enough for a request. */
function neededScope({ action, repository }: AccessRequest, names: Pick<UpstreamNames, 'hosted'>): string {
  const name = familiarName(repository, names);
  return formatScope({ type: 'repository', name, actions: NEEDED[action] });
}

/** True if the token was issued for this. A login has no such bounds. */
function isGranted(
  { repositories }: Authentication & { kind: 'authenticated' },
  { action, repository }: AccessRequest,
): boolean {
  return repositories === undefined || repositories.get(repository.name)?.has(action) === true;
}

/** Only the holder of the certificate's key gets this reason, which mentions no repository. */
function faultReason({ certificateFault }: Authentication): { readonly because?: string } {
  return certificateFault === undefined ? {} : { because: certificateFaultText(certificateFault) };
}

/**
 * A 401 is sent only if a login or another token could help: a client that reads 401 drops the body, and asks
 * its user to log in.
 */
function refusal(
  authentication: Exclude<Authentication, { kind: 'rejected' }>,
  { decision: _, ...reason }: Decision & { decision: 'deny' },
  scope: string,
): AccessDecision {
  const why = { ...faultReason(authentication), ...reason };
  if (authentication.kind === 'anonymous') return { kind: 'refused', error: 'UNAUTHORIZED', scope, ...why };
  // A client that fetched its token with a certificate that does not count has no login, so the body of a 403
  // gives the reason.
  if (authentication.certificateFault !== undefined) return { kind: 'refused', error: 'DENIED', ...why };
  return authentication.subject.kind === 'anonymous'
    ? { kind: 'refused', error: 'INSUFFICIENT_SCOPE', scope, ...reason }
    : { kind: 'refused', error: 'DENIED', ...reason };
}
