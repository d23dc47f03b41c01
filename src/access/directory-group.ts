/**
 * Groups of directories, which a policy names as `group:LOGIN/NAME`. The name is text: it is compared with
 * what the directory says, and it is never a pattern. No group of a policy can have such a name, because
 * those have no slash.
 */
import { didYouMean } from '../platform/nearest.ts';
import type { PolicyData } from './policy-data.ts';
import { groupNameOf } from './subject.ts';

/** The most characters of a name. Longer names of a directory are left out. */
const LONGEST_GROUP = 256;

/** True if the group is one of a directory: `corp/payments`. */
export function isDirectoryGroup(group: string): boolean {
  return group.includes('/');
}

/** Returns the group of a policy: `corp/payments`. */
export function formatDirectoryGroup(login: string, name: string): string {
  return `${login}/${name}`;
}

/**
 * Returns why no person can have this group; undefined if somebody may. `logins` are those that exist, if
 * known.
 */
export function whyNoDirectoryGroup(
  group: string,
  logins: readonly string[] | undefined,
): string | undefined {
  const slash = group.indexOf('/');
  const [login, name] = [group.slice(0, slash), group.slice(slash + 1)];
  if (slash < 0) return `"${group}" is no group of a directory; write LOGIN/NAME, such as corp/payments`;
  if (logins !== undefined && !logins.includes(login)) {
    const none =
      logins.length === 0 ? '; there is none, add it under "login"' : `; there are ${logins.join(', ')}`;
    const meant = didYouMean(login, logins, (near) => formatDirectoryGroup(near, name));
    return `"${login}" is no login of hubgate.yaml${meant === '' ? none : meant}`;
  }
  return name === '' || name.length > LONGEST_GROUP
    ? `"${group}" names no group; write the name that the directory has, with at most ${LONGEST_GROUP} characters`
    : undefined;
}

/** Returns the groups of directories that a policy names. */
export function directoryGroupsIn({ rules, limits = [], reserves = [] }: PolicyData): ReadonlySet<string> {
  const lists = [
    ...rules.map(({ to }) => to),
    ...limits.flatMap(({ to, except = [] }) => [to, except]),
    ...reserves.map((reserve) => reserve.for),
  ];
  const named = new Set<string>();
  for (const list of lists)
    for (const text of list) {
      const group = groupNameOf(text);
      if (group !== undefined && isDirectoryGroup(group)) named.add(group);
    }
  return named;
}
