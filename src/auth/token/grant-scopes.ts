import { decide, type Policy } from '../../access/policy.ts';
import type { Principal } from '../../access/principal.ts';
import type { TokenRestriction } from '../../access/token-restriction.ts';
import { resolveRepository, type UpstreamNames } from '../../registry/repository.ts';
import { formatScope, MAX_SCOPES, parseScope } from '../../registry/scope.ts';
import type { GrantedAccess } from './issue-token.ts';

export interface Asker extends Omit<Principal, 'credential'> {
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
  const scopes: string[] = [];
  for (const text of asked.slice(0, MAX_SCOPES)) {
    const scope = parseScope(text);
    if (scope?.type !== 'repository') continue;
    const repository = resolveRepository(scope.name, [], names);
    if (repository === undefined) continue;
    if (asker.restriction?.allows(repository, asker.address) === false) continue;
    const actions = scope.actions.filter(
      (action) => decide(policy, { ...asker, action, repository }).decision === 'allow',
    );
    if (actions.length === 0) continue;
    const before = access.get(repository.name)?.actions ?? [];
    access.set(repository.name, {
      type: 'repository',
      name: repository.name,
      actions: [...new Set([...before, ...actions])],
    });
    scopes.push(formatScope({ ...scope, actions }));
  }
  return { access: [...access.values()], scope: scopes.join(' ') };
}
