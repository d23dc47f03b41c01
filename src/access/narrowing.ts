import { networkOf } from '../platform/network.ts';
import type { Repository } from '../registry/repository.ts';
import { compilePattern, matchesPattern, type Pattern } from './pattern.ts';

/** What a credential is less than the one whose it is: it can narrow what the policy grants, and never widens it. */
export interface NarrowingData {
  /** Canonical patterns; absent: every repository. */
  readonly pull?: readonly string[] | undefined;
  /** Networks; absent: from everywhere. */
  readonly from?: readonly string[] | undefined;
}

export interface Narrowing {
  allows(repository: Repository, address: string): boolean;
}

/** @throws where a network is none: whoever wrote it down had checked it. */
export function compileNarrowing({ pull, from }: NarrowingData): Narrowing {
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
