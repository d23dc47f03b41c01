/**
 * An action of a subject on a repository, as scopes and tokens name it. So far only `pull` can be granted.
 */
export const ACTIONS = ['pull', 'push', 'delete'] as const;
export type Action = (typeof ACTIONS)[number];

export function isAction(text: string): text is Action {
  return (ACTIONS as readonly string[]).includes(text);
}
