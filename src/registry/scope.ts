import { ACTIONS, type Action } from './action.ts';

/**
 * One `scope` of the token specification: `repository:library/alpine:pull`. The resource name may contain
 * colons (a host's port), so the type ends at the first colon and the actions begin after the last one.
 */
export interface Scope {
  readonly type: string;
  readonly name: string;
  /** The known actions, each once. `*` in a scope means all of them. */
  readonly actions: readonly Action[];
}

export function parseScope(text: string): Scope | undefined {
  const first = text.indexOf(':');
  const last = text.lastIndexOf(':');
  if (first <= 0 || last - first < 2 || last === text.length - 1) return undefined;
  const named = new Set(text.slice(last + 1).split(','));
  return {
    type: text.slice(0, first),
    name: text.slice(first + 1, last),
    actions: ACTIONS.filter((action) => named.has(action) || named.has('*')),
  };
}

/**
 * The most visible ASCII characters of a scope. No name that a registry knows is longer, with its host and
 * actions.
 */
const READABLE = /^[!-~]{1,512}$/;

/** This is more than any client requests at once, and few enough for a token to fit into a header. */
export const MAX_SCOPES = 50;

/** Returns the first scopes that are valid. Further and unreadable ones are left out, as unknown ones are. */
export function boundScopes(scopes: readonly string[]): string[] {
  return scopes.filter((scope) => READABLE.test(scope)).slice(0, MAX_SCOPES);
}

/**
 * Splits scopes. Clients repeat the parameter (GET) or separate scopes by spaces (POST). Both forms are
 * accepted in either place.
 */
export function splitScopes(values: readonly string[]): string[] {
  return values.flatMap((value) => value.split(' ')).filter((scope) => scope !== '');
}

export function formatScope({ type, name, actions }: Scope): string {
  return `${type}:${name}:${actions.join(',')}`;
}

export function pullScope(repositoryName: string): string {
  return formatScope({ type: 'repository', name: repositoryName, actions: ['pull'] });
}
