/** The tokens of an account whose own limits refuse what the policy allows. */
import type { AccessQuestion } from '../../access/policy.ts';
import { nameOf } from '../../access/subject.ts';
import { compileTokenRestriction, type TokenRestrictionData } from '../../access/token-restriction.ts';
import { tokensOf } from '../../auth/admin/tokens.ts';
import type { Environment } from '../../config/environment.ts';
import { reasonOf } from '../../platform/reason.ts';
import { credentialStores } from '../credential-stores.ts';

export interface LimitedToken extends TokenRestrictionData {
  readonly id: string;
}

/** The tokens, or the reason why nobody can tell, which is no reason to answer nothing about the policy. */
export type LimitedTokens = readonly LimitedToken[] | string;

export async function limitedTokens(
  { action, subject, repository, address }: AccessQuestion,
  home: string,
  environment: Environment,
): Promise<LimitedTokens> {
  const owner = nameOf(subject);
  if (owner === undefined) return [];
  try {
    const tokens = await tokensOf(await credentialStores(home, environment), owner);
    return tokens
      .map(({ id, pull, push, from }) => ({ id, pull: pull ?? undefined, push, from: from ?? undefined }))
      .filter(({ from, ...patterns }) => {
        // Without an address, the question is not about networks.
        const restriction = address === '' ? patterns : { ...patterns, from };
        return !compileTokenRestriction(restriction).allows(action, repository, address);
      });
  } catch (error) {
    return reasonOf(error);
  }
}

/** Says to what a token is limited; empty if it is not. */
export function formatRestriction({ pull, push, from }: TokenRestrictionData): string {
  return [
    ...(pull === undefined ? [] : [`pull ${pull.join(', ')}`]),
    ...(push === undefined ? [] : [`push ${push.join(', ')}`]),
    ...(from === undefined ? [] : [`from ${from.join(', ')}`]),
  ].join('; ');
}

/** Says which tokens of the subject the grant does not help. */
export function limitedTokenLines(tokens: LimitedTokens): string[] {
  if (typeof tokens === 'string') return [`not known   whether a limited token refuses it: ${tokens}`];
  return tokens.map(
    (token) => `not with    the token ${token.id}, which is limited: ${formatRestriction(token)}`,
  );
}
