/**
 * May they? A token's scope ∩ the policy of this very moment. Decided before anything is looked up, so that a refusal
 * never depends on what exists. It depends on `access`, and must not know the core.
 */
import type { LivePolicy } from '../../access/live-policy.ts';
import { type Decision, decide } from '../../access/policy.ts';
import type { ErrorName } from '../../registry/error.ts';
import { familiarName, type Repository } from '../../registry/repository.ts';
import { pullScope } from '../../registry/scope.ts';
import type { Admission } from '../admission/admit.ts';

export type Permission =
  | { readonly kind: 'granted'; readonly rule: string; readonly private: boolean }
  | {
      readonly kind: 'refused';
      readonly error: ErrorName;
      /** Of a 401: what a token would need. */
      readonly scope?: string;
      /** The rule that denies, for the audit line, and its reason, for the caller. */
      readonly rule?: string;
      readonly because?: string;
    };

export type Permit = (admission: Admission, repository: Repository, address: string) => Permission;

export function createPermit(policy: LivePolicy): Permit {
  return (admission, repository, address) => {
    const scope = pullScope(familiarName(repository));
    if (admission.kind === 'rejected') return { kind: 'refused', error: admission.error, scope };
    const decision = decide(policy.current, { subject: admission.subject, address, repository });
    if (admission.kind === 'admitted' && admission.repositories?.has(repository.name) === false) {
      return { kind: 'refused', error: 'INSUFFICIENT_SCOPE', scope, ...reasonOf(decision) };
    }
    if (decision.decision === 'allow')
      return { kind: 'granted', rule: decision.rule, private: decision.private };
    return admission.kind === 'anonymous'
      ? { kind: 'refused', error: 'UNAUTHORIZED', scope, ...reasonOf(decision) }
      : { kind: 'refused', error: 'DENIED', ...reasonOf(decision) };
  };
}

function reasonOf(decision: Decision): { readonly rule?: string; readonly because?: string } {
  if (decision.decision === 'allow') return {};
  const { decision: _, ...reason } = decision;
  return reason;
}
