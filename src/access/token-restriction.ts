import { networkOf } from '../platform/network.ts';
import type { Action } from '../registry/action.ts';
import { isHosted, type Repository } from '../registry/repository.ts';
import { compilePattern, matchesPattern, type Pattern } from './pattern.ts';
import { isHostedPattern } from './pattern-text.ts';

/** The restriction of a credential. It can take away from what the policy grants, and never adds to it. */
export interface TokenRestrictionData {
  /**
   * Canonical patterns of what may be pulled; absent: every repository, unless `push` is there. A credential
   * with one of these lists deletes nothing.
   */
  readonly pull?: readonly string[] | undefined;
  /** Canonical patterns of what may be pushed, and pulled too; absent: nothing, if `pull` is there. */
  readonly push?: readonly string[] | undefined;
  /** Networks; absent: every address. */
  readonly from?: readonly string[] | undefined;
}

export interface TokenRestriction {
  allows(action: Action, repository: Repository, address: string): boolean;
}

/** @throws if a network is invalid, because the networks were checked before they were stored */
export function compileTokenRestriction({ pull, push, from }: TokenRestrictionData): TokenRestriction {
  const isRestricted = pull !== undefined || push !== undefined;
  const pushed = push?.map(compilePattern) ?? [];
  const patterns: Readonly<Record<Action, readonly Pattern[]>> = {
    pull: [...(pull?.map(compilePattern) ?? []), ...pushed],
    push: pushed,
    delete: [],
  };
  const network = from === undefined ? undefined : networkOf(from);
  return {
    allows: (action, repository, address) =>
      (!isRestricted || isAny(patterns[action], repository)) &&
      (network === undefined || network.contains(address)),
  };
}

/** A pattern reaches hosted repositories only if it names their namespace, as an allow of the policy does. */
function isAny(patterns: readonly Pattern[], repository: Repository): boolean {
  return patterns.some(
    (pattern) =>
      (!isHosted(repository) || isHostedPattern(pattern.literal)) &&
      matchesPattern(pattern, repository.name, undefined),
  );
}
