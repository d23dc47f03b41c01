/**
 * Issues, lists and revokes service tokens, as an administrator does. The functions take and return values,
 * and a verb or a page says in its own words what happened.
 */
import { systemClock } from '../../platform/clock.ts';
import type { Fault } from '../../platform/fault.ts';
import {
  formatServiceToken,
  hashOfSecret,
  loginCredential,
  makeServiceToken,
  tokenCredential,
} from '../identity/service-token.ts';
import { readUsers, type User } from '../identity/users-file.ts';
import type { StoredLogin, StoredToken } from '../state/auth-state.ts';
import { hasState, openStateAt } from '../state/open-state.ts';
import type { TokenTerms } from './token-terms.ts';
import type { UserStores } from './users.ts';

/** The place of the database with the records of tokens and logins. */
export type TokenStore = Pick<UserStores, 'authState' | 'database'>;

export type TokenOwner = Pick<User, 'name' | 'id'>;

export interface CreatedToken {
  readonly id: string;
  /** The secret, which nobody can read again. */
  readonly token: string;
  /** The time in milliseconds. */
  readonly expiresAt: number;
}

export type TokenOutcome =
  | ({ readonly kind: 'done' } & CreatedToken)
  | { readonly kind: 'unknown' }
  | { readonly kind: 'unreadable'; readonly faults: readonly Fault[] };

/** Issues a token to a user or a service of the users file. */
export async function issueServiceToken(
  stores: UserStores,
  owner: string,
  terms: TokenTerms,
): Promise<TokenOutcome> {
  const users = await readUsers(stores.users);
  if ('faults' in users) return { kind: 'unreadable', faults: users.faults };
  const user = users.value.get(owner);
  if (user === undefined) return { kind: 'unknown' };
  return { kind: 'done', ...(await createServiceToken(stores, user, terms)) };
}

/** Issues a token. */
export async function createServiceToken(
  store: TokenStore,
  owner: TokenOwner,
  terms: TokenTerms,
): Promise<CreatedToken> {
  await using state = await openStateAt(store);
  const { stored, created } = makeToken({ owner, terms, label: null, now: systemClock() });
  await state.putToken(stored);
  return created;
}

export interface NewToken {
  readonly owner: TokenOwner;
  readonly terms: TokenTerms;
  readonly label: string | null;
  /** The time in milliseconds. */
  readonly now: number;
}

/** Makes a token. It must be recorded before anybody receives it, so that it can be revoked. */
export function makeToken({ owner, terms: { lifetime, pull, push, from }, label, now }: NewToken): {
  readonly stored: StoredToken;
  readonly created: CreatedToken;
} {
  const { id, secret } = makeServiceToken();
  const expiresAt = now + lifetime;
  const stored = {
    ...{ id, owner: owner.name, ownerId: owner.id ?? null, hash: hashOfSecret(secret) },
    ...{ createdAt: now, expiresAt, pull, ...(push && { push }), from, label },
    ...{ lastUsedAt: null, lastUsedFrom: null, warnedAt: null },
  };
  return { stored, created: { id, token: formatServiceToken({ id, secret }), expiresAt } };
}

export interface IssuedTokens {
  readonly tokens: readonly StoredToken[];
  readonly logins: readonly StoredLogin[];
}

/** Returns the service tokens and the remembered logins. */
export async function issuedTokens(store: TokenStore): Promise<IssuedTokens> {
  await using state = await openStateAt(store);
  return { tokens: await state.tokens(), logins: await state.logins() };
}

/** Returns the service tokens of an owner that have not expired. */
export async function tokensOf(store: TokenStore, owner: string): Promise<readonly StoredToken[]> {
  if (!(await hasState(store))) return [];
  const { tokens } = await issuedTokens(store);
  return tokens.filter((token) => token.owner === owner && token.expiresAt > systemClock());
}

/**
 * Ends a service token or a remembered login, and every token that was issued for it. Returns the ids of the
 * credentials that are in force no longer; undefined if there was no such token or login.
 */
export async function revokeServiceToken(
  store: TokenStore,
  id: string,
): Promise<readonly string[] | undefined> {
  await using state = await openStateAt(store);
  const isFound = (await state.removeToken(id)) || (await state.removeLogin(id));
  return isFound ? [tokenCredential(id), loginCredential(id)] : undefined;
}
