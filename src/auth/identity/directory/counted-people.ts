import { createHash } from 'node:crypto';
import type { DirectoryLogin } from '../../../config/login.ts';
import type { StoredToken } from '../../state/auth-state.ts';
import type { StoredPerson } from '../../state/stored-person.ts';
import type { Users } from '../users-file.ts';

/** A person whom a directory has confirmed, and who counts until a time in milliseconds since the epoch. */
export interface CountedPerson extends StoredPerson {
  readonly until: number;
}

/** The people who count, by their names. */
export type CountedPeople = ReadonlyMap<string, CountedPerson>;

/**
 * Returns the people whose directory is configured and has not said no. Somebody who shares the name with an
 * entry of the users file counts only if an operator has linked them, and if that entry is not disabled.
 */
export function countedPeople(
  people: readonly StoredPerson[],
  logins: readonly Pick<DirectoryLogin, 'name' | 'offline'>[],
  users: Users,
): CountedPeople {
  const offline = new Map(logins.map((login) => [login.name, login.offline]));
  const counted = new Map<string, CountedPerson>();
  for (const person of people) {
    const after = offline.get(person.login);
    if (after === undefined || person.stableId === null || person.refusedAt !== null) continue;
    if (!mayHaveName(person, users)) continue;
    counted.set(person.name, { ...person, until: person.confirmedAt + after });
  }
  return counted;
}

function mayHaveName({ name, linkedAt }: StoredPerson, users: Users): boolean {
  const user = users.get(name);
  return user === undefined || (linkedAt !== null && !user.isDisabled);
}

/** Returns the id to which the tokens of a person belong. No entry of the users file has one with a slash. */
export function ownerIdOf({ login, stableId }: Pick<StoredPerson, 'login' | 'stableId'>): string {
  return `${login}/${stableId}`;
}

/**
 * Returns the id of the credential of somebody who has logged in at a directory. It is the same each time.
 */
export function personCredential(person: Pick<StoredPerson, 'login' | 'stableId'>): string {
  return `dp_${createHash('sha256').update(ownerIdOf(person)).digest('hex').slice(0, 16)}`;
}

/** Returns the login and the stable id of the person that owns a token. */
export function identityOf({ ownerId }: Pick<StoredToken, 'ownerId'>): {
  readonly login: string;
  readonly id: string;
} {
  const text = ownerId ?? '';
  const slash = text.indexOf('/');
  return { login: text.slice(0, slash), id: text.slice(slash + 1) };
}

/** True if a token belongs to a person of a directory, and not to an entry of the users file. */
export function isOfPerson({ ownerId }: Pick<StoredToken, 'ownerId'>): boolean {
  return ownerId?.includes('/') ?? false;
}
