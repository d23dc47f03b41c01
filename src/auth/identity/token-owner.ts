import type { StoredToken } from '../state/auth-state.ts';
import type { User, Users } from './users-file.ts';

/**
 * Returns the owner of a service token: the user with the same name and the same id. So a token does not
 * become valid again if an entry was deleted by hand and somebody else gets its name.
 */
export function ownerOf({ owner, ownerId }: StoredToken, users: Users): User | undefined {
  const user = users.get(owner);
  return (user?.id ?? null) === ownerId ? user : undefined;
}
