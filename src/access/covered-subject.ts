import { groupNameOf } from './subject.ts';

/** The groups of a policy, as far as it takes them to compare two lists of subjects. */
export interface GroupMembers {
  /** Returns the members of a group, by its name. */
  membersOf(group: string): readonly string[] | undefined;
  /** Returns the groups that have this member, as they are written in a `to`. */
  groupsOf(member: string): readonly string[];
}

/** True if `wider` certainly means everybody whom `who` means. */
export function coversSubject(wider: readonly string[], who: string, groups: GroupMembers): boolean {
  if (wider.includes(who)) return true;
  if (who !== 'anonymous' && wider.includes('authenticated')) return true;
  const group = groupNameOf(who);
  const members = group === undefined ? undefined : groups.membersOf(group);
  if (members !== undefined && members.length > 0)
    return members.every((member) => coversSubject(wider, member, groups));
  return groups.groupsOf(who).some((one) => wider.includes(one));
}
