import { decide, type Policy } from '../../access/policy.ts';
import type { Principal } from '../../access/principal.ts';
import type { TokenRestriction } from '../../access/token-restriction.ts';
import { ACTIONS, type Action } from '../../registry/action.ts';
import { type Repository, resolveRepository, type UpstreamNames } from '../../registry/repository.ts';
import { formatScope, MAX_SCOPES, parseScope, type Scope } from '../../registry/scope.ts';
import type { GrantedAccess } from './issue-token.ts';

export interface Asker extends Pick<Principal, 'subject'> {
  /** The groups of directories that the subject has. */
  readonly groups: readonly string[];
  readonly address: string;
  /** The time in milliseconds since the epoch. */
  readonly at: number;
  /**
   * The restriction of the presented credential: it may do less than its subject. Absent if there is none.
   */
  readonly restriction?: TokenRestriction;
}

export interface GrantedScopes {
  readonly access: readonly GrantedAccess[];
  /** The granted scopes in the form of the request, for the `scope` of the answer. */
  readonly scope: string;
}

/**
 * Intersects the requested scopes with what the policy grants. By the token specification, a scope that is
 * unknown or not granted is left out, and is not an error.
 */
export function grantScopes(
  asked: readonly string[],
  asker: Asker,
  policy: Policy,
  names: UpstreamNames,
): GrantedScopes {
  const access = new Map<string, GrantedAccess>();
  const scopes = new Map<string, Scope>();
  for (const text of asked.slice(0, MAX_SCOPES)) {
    const scope = parseScope(text);
    if (scope?.type !== 'repository') continue;
    const repository = resolveRepository(scope.name, [], names);
    if (repository === undefined) continue;
    const granted = scope.actions.filter((action) => isGranted(action, repository, asker, policy));
    if (granted.length === 0) continue;
    // Clients ask for the same repository several times, once for each of their steps.
    const actions = merged(access.get(repository.name)?.actions, granted);
    access.set(repository.name, { type: 'repository', name: repository.name, actions });
    scopes.set(scope.name, { ...scope, actions: merged(scopes.get(scope.name)?.actions, granted) });
  }
  return { access: [...access.values()], scope: [...scopes.values()].map(formatScope).join(' ') };
}

function merged(before: readonly Action[] = [], granted: readonly Action[]): Action[] {
  return ACTIONS.filter((action) => before.includes(action) || granted.includes(action));
}

function isGranted(action: Action, repository: Repository, asker: Asker, policy: Policy): boolean {
  if (asker.restriction?.allows(action, repository, asker.address) === false) return false;
  return decide(policy, { ...asker, action, repository }).decision === 'allow';
}
