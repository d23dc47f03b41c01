/** The people of directories, for questions about the policy: who has which of the groups that it names. */
import { directoryGroupsIn, formatDirectoryGroup } from '../../access/directory-group.ts';
import type { Policy } from '../../access/policy.ts';
import { hasDirectoryGroups, type Subject } from '../../access/subject.ts';
import { knownPeople } from '../../auth/admin/people.ts';
import type { Config } from '../../config/config.ts';
import type { Environment } from '../../config/environment.ts';
import { credentialStores } from '../credential-stores.ts';

/** The people who have logged in, and their groups, as the mirror last learnt them. */
export interface PeopleGroups {
  /** The names of the people. */
  readonly names: ReadonlySet<string>;
  /** The groups that the policies name. */
  readonly named: ReadonlySet<string>;
  of(subject: Subject): readonly string[];
  /** Returns the people of a group such as `corp/payments`. */
  membersOf(group: string): readonly string[];
}

/** Without a login there is nobody, and nothing is read. */
export async function readPeopleGroups(
  policies: readonly Policy[],
  { config, home, environment }: { config: Config; home: string; environment: Environment },
): Promise<PeopleGroups> {
  const named = new Set(policies.flatMap(({ data }) => [...directoryGroupsIn(data)]));
  const people =
    config.logins.length === 0 ? [] : await knownPeople(await credentialStores(home, environment));
  const groups = new Map(
    people.map(({ name, login, groups: all }) => {
      const written = all.map((group) => formatDirectoryGroup(login, group));
      return [name, written.filter((group) => named.has(group))];
    }),
  );
  return {
    named,
    names: new Set(groups.keys()),
    of: (subject) => (hasDirectoryGroups(subject) ? (groups.get(subject.name) ?? []) : []),
    membersOf: (group) => [...groups].flatMap(([name, all]) => (all.includes(group) ? [name] : [])),
  };
}
