/** Names what the modules of directories have in common. */

/** A person as a directory describes them. */
export interface DirectoryPerson {
  /** The id that the directory never gives to anybody else. */
  readonly stableId: string;
  readonly name: string;
  readonly groups: KnownGroups | 'incomplete';
  /** The refresh token, which is a secret; absent if there is none. */
  readonly refreshToken?: string;
  /** The id of the session at the directory. */
  readonly sid?: string;
}

type KnownGroups = readonly string[];

/** A person of whom all groups are known, so that each `deny` for a group holds. */
export type GroupedPerson = DirectoryPerson & { readonly groups: KnownGroups };

export function hasAllGroups(person: DirectoryPerson): person is GroupedPerson {
  return person.groups !== 'incomplete';
}

/** Thrown if a directory cannot be asked, or does not say anything that can be believed. */
export class DirectoryUnavailable extends Error {
  override readonly name = 'DirectoryUnavailable';
}

/** The most groups of a person. Whoever has more is refused. */
const MOST_GROUPS = 1_000;
const LONGEST_GROUP = 256;

/**
 * Returns the names of groups, sorted and each once. A name that no policy can contain is left out.
 * Returns `'incomplete'` if there are too many.
 */
export function readGroups(names: readonly unknown[]): DirectoryPerson['groups'] {
  if (names.length > MOST_GROUPS) return 'incomplete';
  return [...new Set(names.filter(isGroupName))].toSorted();
}

/** A database keeps no NUL character, and half a pair of surrogates would come back as another name. */
function isGroupName(name: unknown): name is string {
  if (typeof name !== 'string' || name === '' || name.length > LONGEST_GROUP) return false;
  return name.isWellFormed() && !name.includes('\0');
}
