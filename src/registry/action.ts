/** An action of a subject on a repository, as scopes and tokens name it. */
export const ACTIONS = ['pull', 'push', 'delete'] as const;
export type Action = (typeof ACTIONS)[number];

/** The actions of people on the account page, and at the endpoints for their machines. */
export const ACCOUNT_ACTIONS = [
  'login',
  'logout',
  'create-token',
  'revoke-token',
  'change-password',
  'approve-machine',
  'refuse-machine',
] as const;

/** The actions of the lines of the audit log. Only some of them are decided for a repository. */
export const AUDITED_ACTIONS = [
  ...ACTIONS,
  'mount',
  'promote',
  'tags',
  'referrers',
  'catalog',
  'token',
  ...ACCOUNT_ACTIONS,
] as const;

export function isAction(text: string): text is Action {
  return ACTIONS.some((action) => action === text);
}
