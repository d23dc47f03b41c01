/**
 * May this subject pull this repository? The whole answer, from a policy that was read before: pure, so that a gateway
 * can ask it at every request and `hubgate` can explain it. It knows nothing of tokens, caches or what exists.
 */
import type { Repository } from '../registry/repository.ts';
import type { Network } from './network.ts';
import { matchesPattern, type Pattern } from './pattern.ts';
import type { Subject } from './subject.ts';

export interface Policy {
  /** Differs where the text of the file differs. */
  readonly version: string;
  readonly allow: readonly Rule[];
  readonly deny: readonly Rule[];
}

export interface Rule {
  readonly id: string;
  readonly pull: readonly Pattern[];
  readonly to: readonly SubjectPattern[];
  /** Absent: from everywhere. */
  readonly from?: Network;
  /** Does it reach repositories that cannot be read anonymously upstream? Of an `allow` rule only. */
  readonly private: boolean;
  readonly because?: string;
}

export type SubjectPattern =
  | { readonly kind: 'authenticated' | 'anonymous' }
  /** Users and services share one space of names. */
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'cert' | 'oidc'; readonly pattern: Pattern };

/** A pull to be decided. */
export interface Question {
  readonly subject: Subject;
  /** The TCP peer's, as the socket says it: never from a header. */
  readonly address: string;
  readonly repository: Repository;
}

export type Decision =
  | { readonly decision: 'allow'; readonly rule: string; readonly private: boolean }
  | { readonly decision: 'deny'; readonly rule?: string; readonly because?: string };

/** Any matching deny wins; otherwise any matching allow grants; otherwise nothing does. Order never matters. */
export function decide(policy: Policy, question: Question): Decision {
  const denying = policy.deny.find((rule) => applies(rule, question));
  if (denying !== undefined) {
    return { decision: 'deny', rule: denying.id, ...(denying.because && { because: denying.because }) };
  }
  const allowing = policy.allow.filter((rule) => applies(rule, question));
  const widest = allowing.find((rule) => rule.private) ?? allowing[0];
  return widest === undefined
    ? { decision: 'deny' }
    : { decision: 'allow', rule: widest.id, private: widest.private };
}

function applies(rule: Rule, { subject, address, repository }: Question): boolean {
  if (!rule.to.some((pattern) => matchesSubject(pattern, subject))) return false;
  if (rule.from !== undefined && !rule.from.contains(address)) return false;
  const user = subject.kind === 'user' || subject.kind === 'service' ? subject.name : undefined;
  return rule.pull.some((pattern) => matchesPattern(pattern, repository.name, user));
}

function matchesSubject(pattern: SubjectPattern, subject: Subject): boolean {
  if (subject.kind === 'anonymous') return pattern.kind === 'anonymous';
  switch (pattern.kind) {
    case 'authenticated':
      return true;
    case 'anonymous':
      return false;
    case 'name':
      return (subject.kind === 'user' || subject.kind === 'service') && subject.name === pattern.name;
    default:
      return subject.kind === pattern.kind && matchesPattern(pattern.pattern, subject.name, undefined);
  }
}
