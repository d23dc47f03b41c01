import type { Subject } from '../../access/subject.ts';
import type { User } from './users-file.ts';

/** Returns the subject of an entry of the users file. */
export function subjectOfUser({ name, isService }: Pick<User, 'name' | 'isService'>): Subject {
  return { kind: isService ? 'service' : 'user', name };
}

/** Returns the subject of a person, who is in a directory or in the users file. */
export function subjectOfPerson(name: string): Subject {
  return { kind: 'user', name };
}
