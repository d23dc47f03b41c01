import { networkOf } from '../platform/network.ts';
import type { Repository } from '../registry/repository.ts';
import { compilePattern, matchesPattern, type Pattern } from './pattern.ts';

/** The restriction of a credential. It can take away from what the policy grants, and never adds to it. */
export interface TokenRestrictionData {
  /** Canonical patterns; absent: every repository. */
  readonly pull?: readonly string[] | undefined;
  /** Networks; absent: every address. */
  readonly from?: readonly string[] | undefined;
}

export interface TokenRestriction {
  allows(repository: Repository, address: string): boolean;
}

/** @throws if a network is invalid, because the networks were checked before they were stored */
export function compileTokenRestriction({ pull, from }: TokenRestrictionData): TokenRestriction {
  const patterns = pull?.map(compilePattern);
  const network = from === undefined ? undefined : networkOf(from);
  return {
    allows: ({ name }, address) =>
      (patterns === undefined || isAny(patterns, name)) &&
      (network === undefined || network.contains(address)),
  };
}

function isAny(patterns: readonly Pattern[], name: string): boolean {
  return patterns.some((pattern) => matchesPattern(pattern, name, undefined));
}
