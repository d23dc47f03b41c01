/**
 * Says which limits count a pull from an upstream, and which reserves are kept from it. It is pure: the core
 * counts.
 */
import { type Network, networkOf } from '../platform/network.ts';
import { HOSTED, type UpstreamHost } from '../registry/repository.ts';
import type { LimitData, PolicyData, ReserveData } from './policy-data.ts';
import type { Subject } from './subject.ts';
import type { SubjectPattern, SubjectPatterns } from './subject-pattern.ts';

/** A limit whose patterns are compiled. */
export interface Limit {
  readonly data: LimitData;
  readonly to: readonly SubjectPattern[];
  readonly except: readonly SubjectPattern[];
  readonly from?: Network;
}

export interface Reserve {
  readonly data: ReserveData;
  readonly for: readonly SubjectPattern[];
}

export interface Limits {
  readonly limits: readonly Limit[];
  readonly reserves: readonly Reserve[];
}

/** A pull from an upstream. */
export interface LimitQuestion {
  readonly subject: Subject;
  /** The groups of directories that the subject has, such as `corp/payments`. */
  readonly groups?: readonly string[];
  readonly address: string;
  readonly upstream: UpstreamHost;
}

export function compileLimits(
  { limits = [], reserves = [] }: Pick<PolicyData, 'limits' | 'reserves'>,
  subjects: Pick<SubjectPatterns, 'compile'>,
): Limits {
  const compile = (texts: readonly string[] = []) => texts.map((text) => subjects.compile(text));
  return {
    limits: limits.map((data) => ({
      data,
      to: compile(data.to),
      except: compile(data.except),
      ...(data.from && { from: networkOf(data.from) }),
    })),
    reserves: reserves.map((data) => ({ data, for: compile(data.for) })),
  };
}

/** Returns every limit that applies. A hosted repository has no upstream, so none counts it. */
export function limitsFor({ limits }: Limits, question: LimitQuestion): readonly LimitData[] {
  if (question.upstream === HOSTED) return [];
  return limits.filter((limit) => applies(limit, question)).map(({ data }) => data);
}

function applies({ data, to, except, from }: Limit, question: LimitQuestion): boolean {
  return (
    (data.upstream === undefined || data.upstream.includes(question.upstream)) &&
    isAmong(to, question) &&
    !isAmong(except, question) &&
    (from === undefined || from.contains(question.address))
  );
}

/** Returns the reserves of the upstream: those that the principal may use, and those kept for others. */
export function reservesFor(
  { reserves }: Limits,
  question: LimitQuestion,
): { readonly own: readonly ReserveData[]; readonly others: readonly ReserveData[] } {
  const there = reserves.filter(({ data }) => data.upstream === question.upstream);
  const { own = [], others = [] } = Object.groupBy(there, (reserve) =>
    isAmong(reserve.for, question) ? 'own' : 'others',
  );
  return { own: own.map(({ data }) => data), others: others.map(({ data }) => data) };
}

function isAmong(patterns: readonly SubjectPattern[], { subject, groups }: LimitQuestion): boolean {
  return patterns.some((pattern) => pattern.matches(subject, groups));
}
