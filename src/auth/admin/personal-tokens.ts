/**
 * Makes, lists and revokes the own tokens of somebody on the account page. The functions take and return
 * values.
 */

import { isOfPerson } from '../identity/directory/counted-people.ts';
import { PERSONAL_TOKENS } from '../limits.ts';
import type { AuthState, StoredToken } from '../state/auth-state.ts';
import { parseTokenTerms, type TermBounds, type WrittenTerms } from './token-terms.ts';
import { type CreatedToken, makeToken, type NewToken, type TokenOwner } from './tokens.ts';

export interface PersonalTokensOptions {
  readonly state: Pick<AuthState, 'tokens' | 'token' | 'putToken' | 'removeToken'>;
  readonly owner: TokenOwner;
}

/** Returns the tokens of their owner, with those that have ended. */
export async function personalTokens({
  state,
  owner,
}: PersonalTokensOptions): Promise<readonly StoredToken[]> {
  return (await state.tokens()).filter((token) => isOwnerOf(owner, token));
}

const NO_MORE_TOKENS = `you have ${PERSONAL_TOKENS.ofUser} tokens already; revoke one that you no longer need`;

/** Returns why somebody can have no further token at the moment. */
export async function whyNoMoreTokens(options: PersonalTokensOptions): Promise<string[]> {
  return (await personalTokens(options)).length < PERSONAL_TOKENS.ofUser ? [] : [NO_MORE_TOKENS];
}

/** Records a new token. Resolves to undefined if its owner has as many as somebody may have. */
export async function putPersonalToken(
  state: Pick<AuthState, 'putToken'>,
  token: NewToken,
): Promise<CreatedToken | undefined> {
  const { stored, created } = makeToken(token);
  return (await state.putToken(stored, PERSONAL_TOKENS.ofUser)) ? created : undefined;
}

export interface WantedToken extends WrittenTerms {
  readonly label: string;
}

export type PersonalTokenOutcome =
  | ({ readonly kind: 'done' } & CreatedToken)
  | { readonly kind: 'wrong'; readonly reasons: readonly string[] };

/** Makes a token that its owner restricts as they like. It may never do more than its owner. */
export async function createPersonalToken(
  { state, owner }: PersonalTokensOptions,
  { label, ...written }: WantedToken,
  { bounds, now }: { readonly bounds: TermBounds; readonly now: number },
): Promise<PersonalTokenOutcome> {
  const terms = parseTokenTerms(written, bounds);
  const reasons = [...whyNoLabel(label), ...whyTooMany(written), ...('wrong' in terms ? terms.wrong : [])];
  if ('wrong' in terms || reasons.length > 0) return { kind: 'wrong', reasons };
  const created = await putPersonalToken(state, { owner, terms, label: label.trim(), now });
  return created === undefined ? { kind: 'wrong', reasons: [NO_MORE_TOKENS] } : { kind: 'done', ...created };
}

/** Revokes a token of its owner. Resolves to false if the owner has no such token. */
export async function revokePersonalToken(
  { state, owner }: PersonalTokensOptions,
  id: string,
): Promise<boolean> {
  const token = await state.token(id);
  return token !== undefined && isOwnerOf(owner, token) && state.removeToken(id);
}

function isOwnerOf({ name, id }: TokenOwner, { owner, ownerId }: StoredToken): boolean {
  // A person of a directory may have had another name when the token was made.
  return ownerId === (id ?? null) && (owner === name || isOfPerson({ ownerId }));
}

/** Returns what is wrong with the name of a token. */
export function whyNoLabel(label: string): string[] {
  const text = label.trim();
  if (text === '') return ['a token needs a name, such as the machine that it is for'];
  if (text.length > PERSONAL_TOKENS.longestLabel)
    return [`the name of a token may have at most ${PERSONAL_TOKENS.longestLabel} characters`];
  return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text)
    ? ['the name of a token may not contain invisible characters']
    : [];
}

function whyTooMany({ pull = [], push = [], from = [] }: WrittenTerms): string[] {
  return pull.length + push.length + from.length > PERSONAL_TOKENS.restrictions
    ? [`a token may have at most ${PERSONAL_TOKENS.restrictions} patterns and networks`]
    : [];
}
