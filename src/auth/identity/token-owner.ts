import type { StoredToken } from '../state/auth-state.ts';
import type { User, Users } from './users-file.ts';

/**
 * The user whose credential a service token is: one of the same name and with the same id, so that a token does not become good
 * again when an entry was deleted by hand and its name is given to somebody else.
 */
export function ownerOf({ owner, ownerId }: StoredToken, users: Users): User | undefined {
  const user = users.get(owner);
  return (user?.id ?? null) === ownerId ? user : undefined;
}
