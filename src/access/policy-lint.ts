import type { Fault } from '../platform/fault.ts';
import { compilePattern, matchesPattern } from './pattern.ts';
import type { PolicyData, RuleData } from './policy-data.ts';

/** What is not wrong but can have no effect: rules that are gone, and rules that a deny leaves nothing of. */
export function lintPolicy({ rules, groups }: PolicyData, now: number): Fault[] {
  const denies = rules.filter((rule) => rule.effect === 'deny' && !isGone(rule, now));
  return rules.flatMap((rule): Fault[] => {
    if (isGone(rule, now)) return [warning(rule, 'has been over since its "until"; it can be removed')];
    if (rule.effect === 'deny') return [];
    const shadow = denies.find((deny) => covers(deny, rule, groups));
    return shadow === undefined
      ? []
      : [warning(rule, `grants nothing: the deny "${shadow.id}" refuses everything that it allows`)];
  });
}

function isGone({ until }: RuleData, now: number): boolean {
  return until !== undefined && until <= now;
}

function warning({ id, source, line }: RuleData, message: string): Fault {
  return { source, line, message: `the rule "${id}" ${message}` };
}

function covers(deny: RuleData, rule: RuleData, groups: PolicyData['groups']): boolean {
  return (
    rule.pull.every((pattern) => deny.pull.some((wider) => coversPattern(wider, pattern))) &&
    rule.to.every((who) => coversSubject(deny.to, who, groups)) &&
    (deny.from === undefined || isSame(deny.from, rule.from)) &&
    // A pull by digest is granted by an allow of some tags, and not refused by a deny of them.
    deny.tags === undefined &&
    (deny.until === undefined || (rule.until !== undefined && rule.until <= deny.until))
  );
}

function isSame(some: readonly string[], others: readonly string[] | undefined): boolean {
  return others?.every((one) => some.includes(one)) === true;
}

/** What no name holds: only a wildcard can match it. */
const ANY = '\u0001';
const USER = '\u0002';
/** What wildcards may stand for, from nothing to much. `*` does not stand for a slash. */
const SAMPLES = [
  { segment: '', any: '' },
  { segment: ANY, any: ANY },
  { segment: ANY, any: `${ANY}/${ANY}` },
  { segment: ANY, any: `${ANY}/${ANY}/${ANY}` },
];

/** Does `wider` match whatever `pattern` matches? */
function coversPattern(wider: string, pattern: string): boolean {
  const compiled = compilePattern(wider);
  return SAMPLES.every(({ segment, any }) => {
    const name = pattern
      .replaceAll('${user}', USER)
      .replaceAll(/\*\*|\*/g, (wildcard) => (wildcard === '**' ? any : segment));
    return matchesPattern(compiled, name, USER);
  });
}

function coversSubject(wider: readonly string[], who: string, groups: PolicyData['groups']): boolean {
  if (wider.includes(who)) return true;
  if (who !== 'anonymous' && wider.includes('authenticated')) return true;
  const members = who.startsWith('group:') ? groups[who.slice('group:'.length)] : undefined;
  if (members !== undefined && members.length > 0)
    return members.every((member) => coversSubject(wider, member, groups));
  return wider.some(
    (one) => one.startsWith('group:') && groups[one.slice('group:'.length)]?.includes(who) === true,
  );
}
