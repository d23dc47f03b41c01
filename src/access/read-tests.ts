import { didYouMean } from '../platform/nearest.ts';
import type { PartReader } from '../platform/yaml/yaml-schema.ts';
import { whyNoDirectoryGroup } from './directory-group.ts';
import { MOST_LISTED, type NamedLists } from './named-lists.ts';
import type { PolicyContext } from './policy-context.ts';
import type { LimitData, ReserveData } from './policy-data.ts';
import { LIST, POLICY_TEST } from './policy-schema.ts';
import { type PolicyTest, parseTest } from './policy-test.ts';
import { readAction } from './read-action.ts';
import { whyOtherwiseMeant } from './read-member.ts';
import { reportFault, type YamlPath } from './yaml-fault.ts';

interface TestNames {
  readonly groups: NamedLists;
  readonly limits: readonly LimitData[];
  readonly reserves: readonly ReserveData[];
  /**
   * True if an id can be called missing. It cannot if an entry is wrong, because that is reported instead.
   */
  readonly areKnown: boolean;
}

export function readTests(
  parts: PartReader,
  { groups, limits, reserves, areKnown }: TestNames,
  { hosted, logins }: PolicyContext,
): PolicyTest[] {
  const entries = parts.read(['tests'], LIST) ?? [];
  return entries.flatMap((_, index): PolicyTest[] => {
    const path = ['tests', index];
    const written = parts.read(path, POLICY_TEST);
    if (written === undefined) return [];
    const why = whyOtherwiseMeant(written.who, groups);
    if (why !== undefined)
      return reportFault(parts, [...path, 'who'], `"${written.who}" is not one subject; a test asks for one`);
    const action = readAction(parts, path, written);
    if (action === undefined) return [];
    const test = parseTest(written, action, hosted);
    if ('wrong' in test) return reportFault(parts, [...path, test.key], test.wrong);
    const before = parts.faults.length;
    checkGroups(parts, [...path, 'groups'], written.groups, logins);
    if (areKnown) {
      checkIds(parts, [...path, 'limits'], written.limits, limits, 'limit');
      checkIds(parts, [...path, 'reserve'], written.reserve, reserves, 'reserve');
    }
    return parts.faults.length > before ? [] : [{ ...test, place: parts.yaml.faultAt(path, '') }];
  });
}

function checkGroups(
  parts: PartReader,
  path: YamlPath,
  groups: readonly string[] = [],
  logins: PolicyContext['logins'],
): void {
  for (const [at, group] of groups.entries()) {
    const wrong = whyNoDirectoryGroup(group, logins);
    if (wrong !== undefined) parts.fault([...path, at], wrong);
  }
}

/** Reports the ids in a test that no entry has. */
function checkIds(
  parts: PartReader,
  path: YamlPath,
  ids: readonly string[] = [],
  entries: readonly { readonly id: string }[],
  what: string,
): void {
  const known = entries.map(({ id }) => id);
  for (const [index, id] of ids.entries()) {
    if (known.includes(id)) continue;
    const meant = didYouMean(id, known);
    const listed =
      known.length === 0 ? '; there is none' : `; there are ${known.slice(0, MOST_LISTED).join(', ')}`;
    parts.fault([...path, index], `there is no ${what} "${id}"${meant === '' ? listed : meant}`);
  }
}
