/**
 * Links and unlinks people of directories, as an administrator does. The functions take and return values.
 */
import { systemClock } from '../../platform/clock.ts';
import { endSessionsOf } from '../identity/directory/confirm-people.ts';
import { ownerIdOf } from '../identity/directory/counted-people.ts';
import { hasState, openStateAt, type StatePlace } from '../state/open-state.ts';
import type { StoredPerson } from '../state/stored-person.ts';

/** A person, with the number of tokens. */
export interface ListedPerson extends StoredPerson {
  readonly tokens: number;
}

export async function listedPeople(place: StatePlace): Promise<readonly ListedPerson[]> {
  await using state = await openStateAt(place);
  const counts = new Map<string | null, number>();
  for (const { ownerId } of await state.tokens()) counts.set(ownerId, (counts.get(ownerId) ?? 0) + 1);
  return (await state.people()).map((person) => ({ ...person, tokens: counts.get(ownerIdOf(person)) ?? 0 }));
}

/** Returns the people whom their directories have not refused, with the groups that they last had there. */
export async function knownPeople(
  place: StatePlace,
): Promise<readonly Pick<StoredPerson, 'name' | 'login' | 'groups'>[]> {
  if (!(await hasState(place))) return [];
  await using state = await openStateAt(place);
  return (await state.people()).filter(({ stableId, refusedAt }) => stableId !== null && refusedAt === null);
}

export interface PersonLink {
  readonly name: string;
  readonly login: string;
  /** Absent: the next one who logs in with that name at that login. */
  readonly stableId?: string;
}

/** The account that has the name now; null if it is the next one who logs in with it. */
export type LinkedPerson = Pick<StoredPerson, 'stableId'> | { readonly otherName: string };

/**
 * Gives a name to an account of a directory. Whoever of a directory had it before loses it, with all tokens;
 * except that the account of that login keeps it if no other one is named. Nothing happens if the account has
 * another name.
 */
export async function linkPerson(place: StatePlace, link: PersonLink): Promise<LinkedPerson> {
  await using state = await openStateAt(place);
  const { name, login, stableId = null } = link;
  const bound = stableId === null ? undefined : await state.personOf(login, stableId);
  if (bound !== undefined && bound.name !== name) return { otherName: bound.name };
  const linkedAt = systemClock();
  const before = await state.person(name);
  const isSame = before?.login === login && (stableId === null || before.stableId === stableId);
  if (before !== undefined && isSame) {
    await state.updatePerson(name, { ...before, linkedAt });
    return before;
  }
  if (before !== undefined) await unlink(state, before);
  await state.putPerson({
    ...{ name, login, stableId, groups: [], confirmedAt: 0, refusedAt: null },
    ...{ refresh: null, sid: null, linkedAt, namedAt: linkedAt },
  });
  return { stableId };
}

/** Takes a name from a person, with all tokens and sessions. Resolves to undefined if nobody had it. */
export async function unlinkPerson(place: StatePlace, name: string): Promise<StoredPerson | undefined> {
  await using state = await openStateAt(place);
  const person = await state.person(name);
  if (person !== undefined) await unlink(state, person);
  return person;
}

async function unlink(state: Awaited<ReturnType<typeof openStateAt>>, person: StoredPerson): Promise<void> {
  const ownerId = ownerIdOf(person);
  for (const token of await state.tokens()) if (token.ownerId === ownerId) await state.removeToken(token.id);
  await endSessionsOf(person, state);
  // The person goes last. Tokens that outlived it would be valid again when the same account logs in again.
  await state.removePerson(person.name);
}
