import { isName, whyNoName } from '../../../access/subject.ts';
import { shellWord } from '../../../platform/shell-word.ts';
import type { AuthState } from '../../state/auth-state.ts';
import type { StoredPerson } from '../../state/stored-person.ts';
import type { Users } from '../users-file.ts';
import type { DirectoryPerson } from './directory.ts';

export interface BindOptions {
  readonly state: Pick<AuthState, 'person' | 'personOf' | 'putPerson' | 'updatePerson'>;
  readonly users: Users;
  /** The name of the login that vouches for the person. */
  readonly login: string;
  /** The sealed refresh token; null if there is none. */
  readonly refresh: string | null;
  readonly now: number;
}

export type BoundPerson = { readonly person: StoredPerson } | { readonly refused: string };

/**
 * Binds the name of somebody who has just logged in at a directory. The name belongs to the first account
 * that uses it. Somebody whom the directory has renamed keeps everything under the new name, if nobody else
 * has it.
 */
export async function bindPerson(said: DirectoryPerson, options: BindOptions): Promise<BoundPerson> {
  const { state, login, refresh, now } = options;
  const { name, stableId, groups, sid = null } = said;
  if (!isName(name)) return { refused: `${whyNoName(name)}; an administrator of ${login} can change it` };
  if (groups === 'incomplete') return { refused: tooManyGroupsText(login) };
  const before = await state.personOf(login, stableId);
  const other = await state.person(name);
  const facts = { name, login, stableId, groups, confirmedAt: now, refusedAt: null, refresh, sid };
  const person = { ...facts, ...namedAs(name, before ?? other, now) };
  const isBound =
    before === undefined
      ? await bindNew(person, other, options)
      : await bindAgain(person, before, other, options);
  return isBound ? { person } : { refused: takenText({ name, login, stableId }) };
}

/**
 * Somebody who logs in for the first time gets a name that nobody has, or that an operator has linked to
 * them.
 */
async function bindNew(
  person: StoredPerson,
  other: StoredPerson | undefined,
  { state, users }: BindOptions,
): Promise<boolean> {
  const { name, login } = person;
  if (other !== undefined)
    return other.login === login && other.stableId === null && (await state.updatePerson(name, person));
  if (users.has(name)) return false;
  try {
    await state.putPerson(person);
    return true;
  } catch (error) {
    // Somebody else may have taken the name since.
    if ((await state.person(name)) === undefined) throw error;
    return false;
  }
}

async function bindAgain(
  person: StoredPerson,
  before: StoredPerson,
  other: StoredPerson | undefined,
  { state, users }: BindOptions,
): Promise<boolean> {
  const isRenamed = before.name !== person.name;
  if (isRenamed && other !== undefined) return false;
  if (users.has(person.name) && (isRenamed || before.linkedAt === null)) return false;
  return state.updatePerson(before.name, person);
}

type NameTimes = Pick<StoredPerson, 'linkedAt' | 'namedAt'>;

/**
 * Returns the times since which a person has this name, and at which an operator linked it. Those of an
 * earlier name of the person do not count.
 */
export function namedAs(
  name: string,
  before: (NameTimes & Pick<StoredPerson, 'name'>) | undefined,
  now: number,
): NameTimes {
  if (before?.name !== name) return { linkedAt: null, namedAt: now };
  return { linkedAt: before.linkedAt, namedAt: before.namedAt };
}

function tooManyGroupsText(login: string): string {
  return `you have more groups at ${login} than can be read, so nobody can tell which rules count for you; an administrator of ${login} can take you out of some`;
}

/** The command names this very account. The next one who logs in with the name may be somebody else. */
function takenText({
  name,
  login,
  stableId,
}: Pick<DirectoryPerson, 'name' | 'stableId'> & { login: string }) {
  const command = ['hubgate user link', shellWord(name), login, shellWord(stableId)].join(' ');
  return `the name ${name} belongs to another account; an operator can link them: ${command}`;
}
