import type { Narrowing } from '../../access/narrowing.ts';
import { decide, type Policy } from '../../access/policy.ts';
import type { Subject } from '../../access/subject.ts';
import { resolveRepository, type UpstreamNames } from '../../registry/repository.ts';
import { MAX_SCOPES, parseScope } from '../../registry/scope.ts';
import type { Access } from './issue-token.ts';

export interface Asker {
  readonly subject: Subject;
  readonly address: string;
  /** Milliseconds. */
  readonly at: number;
  /** What the credential that was shown is less than its subject. */
  readonly narrowing?: Narrowing;
}

export interface GrantedScopes {
  readonly access: readonly Access[];
  /** The granted ones as they were asked for, for the answer's `scope`. */
  readonly scope: string;
}

/**
 * What was asked ∩ what the policy grants. By the token specification, a scope that is unknown or not granted is left
 * out, and is no error.
 */
export function grantScopes(
  asked: readonly string[],
  asker: Asker,
  policy: Policy,
  names: UpstreamNames,
): GrantedScopes {
  const access = new Map<string, Access>();
  const scopes: string[] = [];
  for (const text of asked.slice(0, MAX_SCOPES)) {
    const scope = parseScope(text);
    if (scope?.type !== 'repository' || !scope.actions.some((action) => action === 'pull' || action === '*'))
      continue;
    const repository = resolveRepository(scope.name, [], names);
    if (repository === undefined) continue;
    if (asker.narrowing?.allows(repository, asker.address) === false) continue;
    if (decide(policy, { ...asker, repository }).decision !== 'allow') continue;
    access.set(repository.name, { type: 'repository', name: repository.name, actions: ['pull'] });
    scopes.push(`repository:${scope.name}:pull`);
  }
  return { access: [...access.values()], scope: scopes.join(' ') };
}
