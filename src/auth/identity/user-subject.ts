import type { Subject } from '../../access/subject.ts';
import type { User } from './users-file.ts';

export function subjectOfUser({ name, isService }: User): Subject {
  return { kind: isService ? 'service' : 'user', name };
}
