/**
 * Changes users as an administrator does. The functions take and return values, and a verb or a page says in
 * its own words what happened. Other processes change users too, so each condition is checked at the very
 * moment of the change.
 */

import { accountsNamed, formatSubject } from '../../access/subject.ts';
import { type Fault, FaultsError } from '../../platform/fault.ts';
import { hashPassword, type PasswordParameters, passwordCredential } from '../identity/password.ts';
import { editUsers, readUsers, type User, type UserEdit } from '../identity/users-file.ts';
import { hasState, openStateAt } from '../state/open-state.ts';

/** The paths of the users file and of the database with what was issued to users. */
export interface UserStores {
  readonly users: string;
  readonly authState: string;
  /**
   * The URL of the database of the cluster, which is used in place of `authState`; absent without a cluster.
   */
  readonly database?: string;
}

export type UserChange =
  | { readonly kind: 'add-service' | 'enable' | 'disable' | 'remove'; readonly name: string }
  | {
      readonly kind: 'add' | 'set-password';
      readonly name: string;
      readonly password: string;
      readonly parameters: PasswordParameters;
    };

/**
 * The reason why a change is not made: the name is taken, nobody has it, or it is that of a service account.
 */
export type UserRefusal = 'exists' | 'unknown' | 'service';

/** `credential` is the id of the new password, if the change set one. */
export type UserOutcome =
  | { readonly kind: 'done'; readonly credential?: string }
  | { readonly kind: 'refused'; readonly refusal: UserRefusal }
  | { readonly kind: 'unreadable'; readonly faults: readonly Fault[] };

/** Tells in advance whether a change would be made, before somebody types a password for it. */
export async function checkUserChange(
  { users }: Pick<UserStores, 'users'>,
  change: Pick<UserChange, 'kind' | 'name'>,
): Promise<UserOutcome> {
  const read = await readUsers(users);
  if ('faults' in read) return { kind: 'unreadable', faults: read.faults };
  const refusal = refusalOf(change, read.value.get(change.name));
  return refusal === undefined ? { kind: 'done' } : { kind: 'refused', refusal };
}

/**
 * Makes a change. Removing a user also removes the user's tokens and logins, because somebody else may get
 * the name later.
 */
export async function changeUser(stores: UserStores, change: UserChange): Promise<UserOutcome> {
  const { name } = change;
  const edit = await editOf(change);
  try {
    const refusal = await editUsers<UserRefusal>(stores.users, (users) => {
      return refusalOf(change, users.get(name)) ?? new Map([[name, edit]]);
    });
    if (refusal !== undefined) return { kind: 'refused', refusal };
  } catch (error) {
    if (!(error instanceof FaultsError)) throw error;
    return { kind: 'unreadable', faults: error.faults };
  }
  if (edit === 'remove') await removeCredentials(stores, name);
  const hash = edit === 'remove' ? undefined : edit.passwordHash;
  return { kind: 'done', ...(hash !== undefined && { credential: passwordCredential(name, hash) }) };
}

function refusalOf({ kind }: Pick<UserChange, 'kind'>, user: User | undefined): UserRefusal | undefined {
  if (kind === 'add' || kind === 'add-service') return user === undefined ? undefined : 'exists';
  if (user === undefined) return 'unknown';
  return kind === 'set-password' && user.isService ? 'service' : undefined;
}

async function editOf(change: UserChange): Promise<UserEdit | 'remove'> {
  switch (change.kind) {
    case 'add':
    case 'set-password':
      return { passwordHash: await hashPassword(change.password, change.parameters) };
    case 'add-service':
      return { isService: true };
    case 'remove':
      return 'remove';
    default:
      return { isDisabled: change.kind === 'disable' };
  }
}

async function removeCredentials(stores: UserStores, name: string): Promise<void> {
  if (!(await hasState(stores))) return;
  await using state = await openStateAt(stores);
  for (const { id, owner } of await state.tokens()) if (owner === name) await state.removeToken(id);
  for (const { id, user } of await state.logins()) if (user === name) await state.removeLogin(id);
}

/** Returns the ids of a user's or service's credentials among those that are in force. */
export function credentialsOfUser(name: string, subjects: ReadonlyMap<string, string>): readonly string[] {
  const own = accountsNamed(name).map(formatSubject);
  return [...subjects].flatMap(([id, subject]) => (own.includes(subject) ? [id] : []));
}
