import type { Subject } from '../../access/subject.ts';
import type { StoredToken } from '../state/auth-state.ts';
import { type CountedPeople, type CountedPerson, isOfPerson, ownerIdOf } from './directory/counted-people.ts';
import { subjectOfPerson, subjectOfUser } from './user-subject.ts';
import type { User, Users } from './users-file.ts';

/** The subjects that can own a token. */
export interface TokenOwners {
  readonly users: Users;
  /** The people of directories by the ids that their tokens have. */
  readonly people: ReadonlyMap<string, CountedPerson>;
}

/** The owner of a token, who counts until a time in milliseconds since the epoch. */
export interface CountedOwner {
  readonly subject: Subject;
  readonly name: string;
  readonly until: number;
}

export function byOwnerId(people: CountedPeople = new Map()): TokenOwners['people'] {
  return new Map([...people.values()].map((person) => [ownerIdOf(person), person]));
}

/**
 * Returns the owner of a token: the user with the same name and the same id, or the person with the same id,
 * whose name follows the directory. Returns undefined if that user is disabled, or if the person does not
 * count.
 */
export function ownerOf(token: StoredToken, { users, people }: TokenOwners): CountedOwner | undefined {
  if (isOfPerson(token)) {
    const person = people.get(token.ownerId ?? '');
    return person && { subject: subjectOfPerson(person.name), name: person.name, until: person.until };
  }
  const user = userOf(token, users);
  if (user === undefined || user.isDisabled) return undefined;
  return { subject: subjectOfUser(user), name: user.name, until: Number.POSITIVE_INFINITY };
}

/**
 * Compares the id of the entry too, so that a token does not become valid again if an entry was deleted by
 * hand and somebody else gets its name.
 */
function userOf({ owner, ownerId }: StoredToken, users: Users): User | undefined {
  const user = users.get(owner);
  return (user?.id ?? null) === ownerId ? user : undefined;
}
