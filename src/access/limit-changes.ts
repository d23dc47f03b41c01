/** Compares the limits and reserves of two policies: what an edit changes, and for whom. */

import { getOrInsert } from '../platform/get-or-insert.ts';
import type { UpstreamHost } from '../registry/repository.ts';
import { limitsFor, reservesFor } from './limits.ts';
import type { Policy } from './policy.ts';
import type { LimitData, ReserveData } from './policy-data.ts';
import type { Population } from './replay.ts';
import { formatSubject } from './subject.ts';

/** A limit or a reserve with a place in the policy. */
export type LimitEntry =
  | { readonly kind: 'limit'; readonly data: LimitData }
  | { readonly kind: 'reserve'; readonly data: ReserveData };

export interface LimitChange {
  readonly kind: LimitEntry['kind'];
  readonly id: string;
  readonly before?: LimitEntry;
  readonly after?: LimitEntry;
  /** The subjects to whom it newly applies, and those to whom it does not apply any more. */
  readonly gained: readonly string[];
  readonly lost: readonly string[];
}

/** Returns the limits and reserves that apply to other `subjects` than before, or that say something else. */
export function compareLimits(
  before: Policy,
  after: Policy,
  subjects: Population['subjects'],
  upstreams: readonly UpstreamHost[],
): LimitChange[] {
  const [entriesBefore, entriesAfter] = [entriesOf(before), entriesOf(after)];
  if (entriesBefore.size + entriesAfter.size === 0) return [];
  const [whoBefore, whoAfter] = [before, after].map((policy) => whomThey(policy, subjects, upstreams));
  return [...new Set([...entriesBefore.keys(), ...entriesAfter.keys()])].flatMap((key): LimitChange[] => {
    const [was, is] = [entriesBefore.get(key), entriesAfter.get(key)];
    const [had, has] = [whoBefore?.get(key) ?? new Set<string>(), whoAfter?.get(key) ?? new Set<string>()];
    const [gained, lost] = [has.difference(had), had.difference(has)];
    const { kind, data } = is ?? was ?? {};
    if (kind === undefined || data === undefined) return [];
    if (contentOf(was) === contentOf(is) && gained.size + lost.size === 0) return [];
    return [
      {
        ...{ kind, id: data.id, gained: [...gained], lost: [...lost] },
        ...(was && { before: was }),
        ...(is && { after: is }),
      },
    ];
  });
}

function entriesOf({ data: { limits = [], reserves = [] } }: Policy): ReadonlyMap<string, LimitEntry> {
  return new Map<string, LimitEntry>([
    ...limits.map((data) => [keyOf('limit', data), { kind: 'limit', data }] as const),
    ...reserves.map((data) => [keyOf('reserve', data), { kind: 'reserve', data }] as const),
  ]);
}

function keyOf(kind: LimitEntry['kind'], { id }: { readonly id: string }): string {
  return `${kind} ${id}`;
}

/** Returns the text of an entry without its place. */
function contentOf(entry: LimitEntry | undefined): string | undefined {
  if (entry === undefined) return undefined;
  const { source: _, line: __, column: ___, ...content } = entry.data;
  return JSON.stringify(content);
}

/** Returns the subjects to whom each entry applies, at any of their addresses and for any upstream. */
function whomThey(
  { limits }: Policy,
  subjects: Population['subjects'],
  upstreams: readonly UpstreamHost[],
): ReadonlyMap<string, ReadonlySet<string>> {
  const whom = new Map<string, Set<string>>();
  for (const { subject, addresses, groups = [] } of subjects) {
    const who = formatSubject(subject);
    for (const address of addresses)
      for (const upstream of upstreams) {
        const question = { subject, groups, address, upstream };
        const keys = [
          ...limitsFor(limits, question).map((limit) => keyOf('limit', limit)),
          ...reservesFor(limits, question).own.map((reserve) => keyOf('reserve', reserve)),
        ];
        for (const key of keys) getOrInsert(whom, key, () => new Set()).add(who);
      }
  }
  return whom;
}
