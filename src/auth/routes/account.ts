/**
 * Answers what the account page asks. Each function judges the session first, and the CSRF token if it
 * changes something.
 */
import type { Context } from 'koa';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import type { ObservableValue } from '../../platform/observable-value.ts';
import {
  type AccountRefusal,
  NEW_SESSION,
  type OwnToken,
  PASSWORD_CHANGE,
  SESSION_CHANGE,
  SESSION_REQUEST,
  type ShownSession,
  TOKEN_CREATION,
  TOKEN_REVOCATION,
} from '../../protocol/account-api.ts';
import type { ChangeOwnPassword } from '../admin/own-password.ts';
import { createPersonalToken, personalTokens, revokePersonalToken } from '../admin/personal-tokens.ts';
import type { TermBounds } from '../admin/token-terms.ts';
import type { TokenOwner } from '../admin/tokens.ts';
import { ownerIdOf, personCredential } from '../identity/directory/counted-people.ts';
import type { ProvePassword } from '../identity/prove-password.ts';
import {
  type ActiveSession,
  csrfTokenOf,
  isCsrfTokenOf,
  type ProvedUser,
  type Sessions,
} from '../identity/sessions.ts';
import type { User, Users } from '../identity/users-file.ts';
import type { AuthState, StoredToken } from '../state/auth-state.ts';
import { auditRefusal, auditUser, restrictionOf } from './audited.ts';
import { answerJson, readJson } from './request.ts';

export interface AccountRouteDependencies {
  readonly sessions: Sessions;
  readonly provePassword: ProvePassword;
  readonly changePassword: ChangeOwnPassword;
  readonly users: ObservableValue<Users>;
  readonly state: AuthState;
  /** The bounds on the terms of personal tokens. */
  readonly tokens: TermBounds;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Begins a session for somebody who knows a password. A token of theirs does not begin one. */
export async function beginSession(
  context: Context,
  { sessions, provePassword, log }: AccountRouteDependencies,
): Promise<void> {
  const { name, password, address } = await readJson(context, NEW_SESSION);
  const { signal } = context.req;
  const proved = await provePassword({ name, password, address, signal });
  if (typeof proved === 'string' || !('user' in proved)) {
    auditRefusal(context, { action: 'login', reason: refusalOf(proved) });
    return refuseAccount(context, refusedLogin(proved));
  }
  const created = await sessions.create(proved);
  const { user, login: directory, credential } = proved;
  auditUser(context, { action: 'login', user, login: directory, credential });
  log.info({ user: proved.user, address }, 'somebody has logged in to the account page');
  answerJson(context, created);
}

type Unproved = Exclude<Awaited<ReturnType<ProvePassword>>, ProvedUser>;

function refusedLogin(unproved: Unproved): AccountRefusal {
  if (unproved === 'busy') return { error: 'TOO_MANY_LOGINS' };
  if (unproved === 'wrong') return { error: 'BAD_CREDENTIALS' };
  if ('unavailable' in unproved) return unavailableDirectory(unproved.unavailable);
  return { error: 'WRONG', reasons: [unproved.refused] };
}

/**
 * Returns the reason of a refused login for the audit log, without the name that was typed, unless its
 * password is right.
 */
function refusalOf(unproved: Unproved): string {
  if (unproved === 'busy') return 'too many logins';
  if (unproved === 'wrong') return 'wrong name or password';
  return 'unavailable' in unproved ? 'the directory does not answer' : unproved.refused;
}

export async function showSession(context: Context, dependencies: AccountRouteDependencies): Promise<void> {
  const { session } = await readJson(context, SESSION_REQUEST);
  const { sessions, state, tokens, users } = dependencies;
  const active = await sessions.find(session);
  if (active === undefined) return refuseAccount(context, { error: 'NO_SESSION' });
  const { user, login, credential, expiresAt } = active;
  const person = login === null ? undefined : await state.person(user);
  // Somebody else may have got the name a moment ago.
  if (login !== null && (person === undefined || personCredential(person) !== credential))
    return refuseAccount(context, { error: 'NO_SESSION' });
  answerJson(context, {
    ...{
      user,
      login,
      namedAt: person?.namedAt ?? person?.linkedAt ?? null,
      expiresAt,
      csrf: csrfTokenOf(session),
      longestToken: tokens.longest,
    },
    canChangePassword: login === null && users.current.get(user)?.passwordHash !== undefined,
  } satisfies ShownSession);
}

export async function endSession(context: Context, dependencies: AccountRouteDependencies): Promise<void> {
  const request = await readJson(context, SESSION_CHANGE);
  const active = await sessionOf(context, request, dependencies);
  if (active === undefined) return;
  await dependencies.sessions.end(request.session);
  const { user, login, credential } = active;
  auditUser(context, { action: 'logout', user, login, credential });
  answerJson(context, { done: true });
}

/** Changes the password of a user of the users file, and begins another session, because all others end. */
export async function changePasswordOf(
  context: Context,
  dependencies: AccountRouteDependencies,
): Promise<void> {
  const request = await readJson(context, PASSWORD_CHANGE);
  const active = await sessionOf(context, request, dependencies);
  if (active === undefined) return;
  const { user: name, login } = active;
  if (login !== null)
    return refuseAccount(context, {
      error: 'WRONG',
      reasons: [`your password is that of ${login}; change it there`],
    });
  const { current, password, address } = request;
  const { signal } = context.req;
  const outcome = await dependencies.changePassword({ name, current, password, address, signal });
  if (outcome.kind === 'refused') {
    const refused = { user: name, credential: active.credential, isRefused: true };
    auditUser(context, { action: 'change-password', ...refused, reason: 'wrong current password' });
  }
  if (outcome.kind === 'wrong') return refuseAccount(context, { error: 'WRONG', reasons: outcome.reasons });
  if (outcome.kind !== 'done')
    return refuseAccount(context, { error: outcome.kind === 'busy' ? 'TOO_MANY_LOGINS' : 'BAD_CREDENTIALS' });
  await dependencies.sessions.end(request.session);
  const created = await dependencies.sessions.create({ user: name, login, credential: outcome.credential });
  auditUser(context, { action: 'change-password', user: name, credential: outcome.credential });
  dependencies.log.info({ user: name, address }, 'a user has changed their own password');
  answerJson(context, created);
}

export async function listOwnTokens(context: Context, dependencies: AccountRouteDependencies): Promise<void> {
  const { session } = await readJson(context, SESSION_REQUEST);
  const active = await dependencies.sessions.find(session);
  const owner = active && (await ownerOfSession(active, dependencies));
  if (owner === undefined) return refuseAccount(context, { error: 'NO_SESSION' });
  const tokens = await personalTokens({ state: dependencies.state, owner });
  answerJson(context, { tokens: tokens.map(ownToken) });
}

export async function createOwnToken(
  context: Context,
  dependencies: AccountRouteDependencies,
): Promise<void> {
  const request = await readJson(context, TOKEN_CREATION);
  const change = await changeOf(context, request, dependencies);
  if (change === undefined) return;
  const { owner, active } = change;
  const { label, expires, pull, push, from } = request;
  const { state, tokens: bounds, clock, log } = dependencies;
  const outcome = await createPersonalToken(
    { state, owner },
    { label, expires, pull: pull ?? undefined, push: push ?? undefined, from: from ?? undefined },
    { bounds, now: clock() },
  );
  if (outcome.kind === 'wrong') return refuseAccount(context, { error: 'WRONG', reasons: outcome.reasons });
  const { id, token, expiresAt } = outcome;
  const { user, login, credential } = active;
  const made = { token: id, label: label.trim(), ...restrictionOf({ pull, push, from }) };
  auditUser(context, { action: 'create-token', user, login, credential, ...made });
  log.info({ user, id }, 'a user has made a token on the account page');
  answerJson(context, { id, token, expiresAt });
}

export async function revokeOwnToken(
  context: Context,
  dependencies: AccountRouteDependencies,
): Promise<void> {
  const request = await readJson(context, TOKEN_REVOCATION);
  const change = await changeOf(context, request, dependencies);
  if (change === undefined) return;
  const { owner, active } = change;
  const isRevoked = await revokePersonalToken({ state: dependencies.state, owner }, request.id);
  if (!isRevoked)
    return refuseAccount(context, { error: 'WRONG', reasons: ['you have no such token any more'] });
  const { user, login, credential } = active;
  auditUser(context, { action: 'revoke-token', user, login, credential, token: request.id });
  dependencies.log.info({ user, id: request.id }, 'a user has revoked a token on the account page');
  answerJson(context, { done: true });
}

/** Returns the session of a request that changes something. It answers if there is none. */
export async function sessionOf(
  context: Context,
  { session, csrf }: { readonly session: string; readonly csrf: string },
  { sessions }: Pick<AccountRouteDependencies, 'sessions'>,
): Promise<ActiveSession | undefined> {
  const active = await sessions.find(session);
  if (active === undefined) refuseAccount(context, { error: 'NO_SESSION' });
  else if (!isCsrfTokenOf(session, csrf)) refuseAccount(context, { error: 'BAD_CSRF' });
  else return active;
  return undefined;
}

/** Returns the session of a request that changes tokens, and their owner. It answers if there is none. */
async function changeOf(
  context: Context,
  request: { readonly session: string; readonly csrf: string },
  dependencies: AccountRouteDependencies,
): Promise<{ readonly owner: TokenOwner; readonly active: ActiveSession } | undefined> {
  const active = await sessionOf(context, request, dependencies);
  if (active === undefined) return undefined;
  const owner = await ownerOfSession(active, dependencies);
  if (owner !== undefined) return { owner, active };
  refuseAccount(context, { error: 'NO_SESSION' });
  return undefined;
}

/** Returns undefined if the user, or the person of a directory, was removed a moment ago. */
export async function ownerOfSession(
  { user, login }: Pick<ActiveSession, 'user' | 'login'>,
  { users, state }: Pick<AccountRouteDependencies, 'users' | 'state'>,
): Promise<Pick<User, 'name' | 'id' | 'isDisabled'> | undefined> {
  if (login === null) return users.current.get(user);
  const person = await state.person(user);
  return person?.login === login
    ? { name: user, id: ownerIdOf(person), isDisabled: person.refusedAt !== null }
    : undefined;
}

/** Returns the refusal of a login while its directory cannot be asked. */
export function unavailableDirectory(login: string): AccountRefusal {
  return { error: 'UNAVAILABLE', reasons: [`the directory ${login} does not answer; try again shortly`] };
}

function ownToken(token: StoredToken): OwnToken {
  const { id, label, createdAt, expiresAt, pull, push = null, from, lastUsedAt, lastUsedFrom } = token;
  return { id, label, createdAt, expiresAt, pull, push, from, lastUsedAt, lastUsedFrom };
}

export function refuseAccount(context: Context, refusal: AccountRefusal): void {
  context.status = 400;
  answerJson(context, refusal);
}
