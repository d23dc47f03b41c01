import { exampleOf } from '../../access/pattern-example.ts';
import { isHostedPattern } from '../../access/pattern-text.ts';
import { nameOf } from '../../access/subject.ts';
import { HOSTED, parseRepositoryName, type UpstreamNames } from '../../registry/repository.ts';
import type { Authentication } from '../authentication/authenticate-client.ts';
import type { ClientAddress } from '../http/client-address.ts';
import type { AuthorizeNow } from './authorize.ts';
import type { PolicySubscription } from './policy-subscription.ts';

/** Returns the namespaces to which somebody may push, as `acme-internal/**`. */
export type PushableNamespaces = (
  authentication: Authentication,
  address: ClientAddress,
) => readonly string[];

/** The most rules that one answer looks at, so that it cannot hold up pulls. */
const MOST_RULES = 1_000;

/**
 * Answers from the policy alone, for an example of each pattern that a rule allows to be pushed. So the
 * answer names no namespace in which the caller may push nothing. The scope of a token does not count,
 * because it is for the repository that was asked for.
 */
export function createPushableNamespaces(
  policy: Pick<PolicySubscription, 'current'>,
  names: Pick<UpstreamNames, 'hosted'>,
  authorizeNow: AuthorizeNow,
): PushableNamespaces {
  return (authentication, address) => {
    if (authentication.kind !== 'authenticated') return [];
    const authorize = authorizeNow();
    const who = { ...authentication, repositories: undefined };
    const user = nameOf(authentication.subject);
    const found = new Set<string>();
    const rules = policy.current.data.rules.filter(
      (rule) => rule.effect === 'allow' && rule.action === 'push',
    );
    for (const pattern of rules.slice(0, MOST_RULES).flatMap(({ pull }) => pull.filter(isHostedPattern))) {
      const namespace = namespaceIn(pattern, names);
      if (namespace === undefined || found.has(namespace)) continue;
      const repository = parseRepositoryName(exampleOf(pattern, user));
      const asked = repository && ({ action: 'push', repository, address } as const);
      if (asked !== undefined && authorize(who, asked).kind === 'granted') found.add(namespace);
    }
    return [...found].sort().map((namespace) => `${namespace}/**`);
  };
}

function namespaceIn(pattern: string, { hosted }: Pick<UpstreamNames, 'hosted'>): string | undefined {
  return [...(hosted ?? [])].find((name) => pattern.startsWith(`${HOSTED}/${name}/`));
}
