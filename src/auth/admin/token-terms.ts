import { canonicalPattern, hostedPattern, type PatternText } from '../../access/pattern-text.ts';
import { duration, formatDuration } from '../../config/values.ts';
import { parseNetwork } from '../../platform/network.ts';
import type { HostedNamespaces } from '../../registry/repository.ts';

/** The terms of a token: what it allows of that which its owner may do. */
export interface TokenTerms {
  /** The lifetime in milliseconds. */
  readonly lifetime: number;
  /** The canonical patterns of what may be pulled; null if that is not restricted. */
  readonly pull: readonly string[] | null;
  readonly push?: readonly string[];
  /** The networks that it may be used from; null if that is not restricted. */
  readonly from: readonly string[] | null;
}

/** The terms as somebody wrote them. */
export interface WrittenTerms {
  readonly expires: string;
  readonly pull?: readonly string[] | undefined;
  readonly push?: readonly string[] | undefined;
  readonly from?: readonly string[] | undefined;
}

export interface TermBounds {
  /** The longest lifetime in milliseconds. */
  readonly longest: number;
  readonly hosted: HostedNamespaces | undefined;
  /** The option or the field with the lifetime, for messages; absent if none need be named. */
  readonly lifetimeIn?: string;
}

/** Returns everything that is wrong with the terms, if something is. */
export function parseTokenTerms(
  { expires, pull, push, from }: WrittenTerms,
  { longest, hosted, lifetimeIn }: TermBounds,
): TokenTerms | { readonly wrong: readonly string[] } {
  const lifetime = duration(1).safeParse(expires).data;
  const pulled = pull?.map((text) => canonicalPattern(text, hosted)) ?? [];
  const pushed = push?.map((text) => hostedPattern(text, hosted)) ?? [];
  const wrong = [
    lifetime === undefined ? `"${expires}" is no duration such as 90d` : [],
    lifetime !== undefined && lifetime > longest
      ? tooLong([lifetimeIn, expires].join(' ').trim(), longest)
      : [],
    ...[...pulled, ...pushed].map((pattern) => ('wrong' in pattern ? pattern.wrong : [])),
    ...(from ?? []).map((cidr) =>
      parseNetwork([cidr]) === undefined ? `"${cidr}" is no network such as 10.0.0.0/8` : [],
    ),
  ].flat();
  if (lifetime === undefined || wrong.length > 0) return { wrong };
  return {
    lifetime,
    pull: pull === undefined ? null : canonicalOf(pulled),
    ...(push !== undefined && { push: canonicalOf(pushed) }),
    from: from ?? null,
  };
}

function canonicalOf(patterns: readonly PatternText[]): string[] {
  return patterns.flatMap((pattern) => ('pattern' in pattern ? [pattern.pattern] : []));
}

function tooLong(expires: string, longest: number): string {
  const most = formatDuration(longest);
  return `${expires} is longer than ${most}, which is what token.longest in hubgate.yaml allows; ask for at most ${most}, or change that setting`;
}
