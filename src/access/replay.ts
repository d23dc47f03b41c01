/** Asks policies about recorded pulls: what an edit would change, and which rules nobody needs. */
import { getOrInsert } from '../platform/get-or-insert.ts';
import { parseNetwork } from '../platform/network.ts';
import { ACTIONS, type Action } from '../registry/action.ts';
import { isHosted } from '../registry/repository.ts';
import { type AccessQuestion, type Decision, decide, type Policy, unmet } from './policy.ts';
import type { RuleData } from './policy-data.ts';
import { formatSubject, type Subject } from './subject.ts';

/** A pull with the decision that was recorded. */
export interface RecordedPull extends AccessQuestion {
  readonly decision: 'allow' | 'deny';
}

export interface DecisionChange {
  readonly action: Action;
  readonly subject: Subject;
  readonly pull: Pick<AccessQuestion, 'repository' | 'tag'>;
  /** One of the addresses from which the subject asked; absent if all addresses give the same result. */
  readonly address?: string;
  readonly before: Decision;
  readonly after: Decision;
}

type PullTarget = Pick<AccessQuestion, 'repository' | 'tag'>;

interface KnownSubject {
  readonly subject: Subject;
  readonly addresses: Iterable<string>;
  /** The groups of directories that the subject has. */
  readonly groups?: readonly string[];
  /** The targets that are compared for this subject only, besides those of all subjects. */
  readonly own?: readonly PullTarget[];
}

/** The subjects that may ask, their addresses, and the repositories. */
export interface Population {
  readonly subjects: Iterable<KnownSubject>;
  readonly targets: Iterable<PullTarget>;
}

/**
 * Returns the differences between two policies at one time, for every subject combined with every repository
 * and tag in `pulls`, whether or not the subject pulled it. About a hosted repository every action is asked.
 */
export function compare(
  before: Policy,
  after: Policy,
  pulls: Iterable<AccessQuestion>,
  at: number,
): DecisionChange[] {
  const all = [...pulls];
  const targets = new Map<string, PullTarget>();
  for (const { repository, tag } of all)
    targets.set(`${repository.name}:${tag ?? ''}`, { repository, ...(tag !== undefined && { tag }) });
  return compareFor(before, after, { subjects: subjectsOf(all), targets: targets.values() }, at);
}

/** Returns the subjects of pulls, each with all its addresses. */
export function subjectsOf(
  pulls: Iterable<Pick<AccessQuestion, 'subject' | 'address' | 'groups'>>,
): Population['subjects'] {
  const subjects = new Map<string, { subject: Subject; addresses: Set<string>; groups: readonly string[] }>();
  for (const { subject, address, groups = [] } of pulls)
    getOrInsert(subjects, formatSubject(subject), () => ({
      ...{ subject, groups, addresses: new Set() },
    })).addresses.add(address);
  return subjects.values();
}

/** Compares the decisions of two policies for all subjects, addresses and repositories of a population. */
export function compareFor(
  before: Policy,
  after: Policy,
  population: Population,
  at: number,
): DecisionChange[] {
  const networks = networksOf(before, after);
  const targets = [...population.targets];
  return [...population.subjects].flatMap(({ subject, addresses: all, groups = [], own = [] }) => {
    // Addresses in the same networks get the same decision.
    const distinct = new Map<string, string>();
    for (const address of all)
      distinct.set(networks.map((network) => network?.contains(address)).join(), address);
    const addresses = [...distinct.values()];
    return [...targets, ...own].flatMap((pull) =>
      actionsOn(pull).flatMap((action) => {
        const changes = addresses.flatMap((address): DecisionChange[] => {
          const question: AccessQuestion = { action, subject, groups, address, ...pull, at };
          const decisions = { before: decide(before, question), after: decide(after, question) };
          if (isSame(decisions.before, decisions.after)) return [];
          return [{ action, subject, pull, address, ...decisions }];
        });
        return withoutNeedlessAddress(changes, addresses.length);
      }),
    );
  });
}

/** Nobody pushes to a mirrored repository, or deletes anything from it. */
function actionsOn({ repository }: PullTarget): readonly Action[] {
  return isHosted(repository) ? ACTIONS : ['pull'];
}

/** Merges a change that is the same from every address into one change without an address. */
function withoutNeedlessAddress(
  changes: readonly DecisionChange[],
  addresses: number,
): readonly DecisionChange[] {
  const [first] = changes;
  if (first === undefined || changes.length < addresses) return changes;
  const outcome = ({ before, after }: DecisionChange) => JSON.stringify([before, after]);
  if (changes.some((change) => outcome(change) !== outcome(first))) return changes;
  const { address: _, ...anywhere } = first;
  return [anywhere];
}

function networksOf(...policies: readonly Policy[]) {
  const cidrs = policies.flatMap(({ rules }) => rules.flatMap(({ data }) => data.from ?? []));
  return [...new Set(cidrs)].map((cidr) => parseNetwork([cidr]));
}

function isSame(before: Decision, after: Decision): boolean {
  return (
    before.decision === after.decision &&
    (before.decision === 'deny' || after.decision === 'deny' || before.private === after.private)
  );
}

export interface UnusedRule {
  readonly rule: RuleData;
  /** `unmatched`: the rule matches no pull. `redundant`: other rules allow the same pulls. */
  readonly why: 'unmatched' | 'redundant';
}

/**
 * Returns the rules that could be removed, each for itself, without changing the decision on any of `pulls`.
 */
export function unusedRules(policy: Policy, pulls: Iterable<RecordedPull>): UnusedRule[] {
  const matched = new Set<string>();
  const needed = new Set<string>();
  for (const pull of pulls) {
    const rules = policy.rules.filter((rule) => unmet(rule, pull).length === 0).map(({ data }) => data);
    for (const { id } of rules) matched.add(id);
    for (const id of neededOf(rules)) needed.add(id);
  }
  return policy.rules.flatMap(({ data }): UnusedRule[] => {
    if (needed.has(data.id)) return [];
    return [{ rule: data, why: matched.has(data.id) ? 'redundant' : 'unmatched' }];
  });
}

/** Returns which of the rules that match a pull are needed for its decision. */
function neededOf(rules: readonly RuleData[]): string[] {
  const denies = rules.filter(({ effect }) => effect === 'deny');
  // Two rules that deny the same may both be meant: the record does not show which one is redundant.
  if (denies.length > 0) return denies.map(({ id }) => id);
  const [only, ...others] = rules;
  const reaching = rules.filter((rule) => rule.private);
  const [onlyReaching, ...othersReaching] = reaching;
  return [
    ...(only !== undefined && others.length === 0 ? [only.id] : []),
    ...(onlyReaching !== undefined && othersReaching.length === 0 ? [onlyReaching.id] : []),
  ];
}
