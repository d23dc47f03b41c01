import { isHosted } from '../registry/repository.ts';
import { isDirectoryGroup } from './directory-group.ts';
import { type AccessQuestion, type Policy, unmet } from './policy.ts';
import type { RuleData } from './policy-data.ts';
import type { Rule } from './rule.ts';
import { groupNameOf, parseSubject, parseWrittenSubject, type Subject } from './subject.ts';

/** A subject who may do something, or who could if a deny did not refuse it. */
export interface WhoCanAnswer {
  /**
   * The subject as the policy writes it. `authenticated` is everybody who is not named, and `cert:prod-*` is
   * all of these.
   */
  readonly who: string;
  /** True if the read access includes private content. */
  readonly private: boolean;
  readonly rules: readonly RuleData[];
  /** Networks; absent: every address. */
  readonly from?: readonly string[];
  /** The networks from which a deny refuses the pull. */
  readonly notFrom?: readonly string[];
  /** The deny that refuses the pull from everywhere. */
  readonly deniedBy?: RuleData;
}

export type WhoCanQuestion = Pick<AccessQuestion, 'action' | 'repository' | 'tag' | 'at'>;

/**
 * Returns the subjects that may do this: those of `users`, those that the policy names, and everybody else. A
 * group of a directory is answered for as a whole, because only the directory knows its members.
 */
export function whoCan(policy: Policy, question: WhoCanQuestion, users: readonly string[]): WhoCanAnswer[] {
  const named = policy.rules.flatMap(({ data }) =>
    data.to.filter((text) => groupNameOf(text) === undefined || directoryGroupOf(text) !== undefined),
  );
  const members = Object.values(policy.data.groups).flat();
  const everybody = ['authenticated', 'anonymous', ...users, ...named, ...members];
  return [...new Set(everybody)].flatMap((who) => answerFor(policy, question, who));
}

function answerFor(policy: Policy, question: WhoCanQuestion, who: string): WhoCanAnswer[] {
  const matched = policy.rules.filter((rule) => means(rule, question, who)).map(({ data }) => data);
  const allows = matched.filter(({ effect }) => effect === 'allow');
  const denies = matched.filter(({ effect }) => effect === 'deny');
  if (allows.length === 0) return [];
  const deniedBy = denies.find(({ from }) => from === undefined);
  const notFrom = denies.flatMap(({ from }) => from ?? []);
  const everywhere = allows.some(({ from }) => from === undefined);
  return [
    {
      who,
      private: isHosted(question.repository) || allows.some((rule) => rule.private),
      rules: allows,
      ...(!everywhere && { from: allows.flatMap(({ from }) => from ?? []) }),
      ...(notFrom.length > 0 && { notFrom }),
      ...(deniedBy && { deniedBy }),
    },
  ];
}

/** True if the rule applies to the subject, whatever the network is. */
function means(rule: Rule, question: WhoCanQuestion, who: string): boolean {
  const group = directoryGroupOf(who);
  const subject: Subject = group === undefined ? subjectOf(who) : { kind: 'user', name: who };
  const groups = group === undefined ? [] : [group];
  const asked: AccessQuestion = { ...question, address: '', subject, groups };
  const others = unmet(rule, asked).filter((condition) => condition !== 'network');
  if (who !== 'authenticated') return others.length === 0;
  return rule.data.to.includes(who) && others.every((condition) => condition === 'subject');
}

function directoryGroupOf(text: string): string | undefined {
  const group = groupNameOf(text);
  return group !== undefined && isDirectoryGroup(group) ? group : undefined;
}

/**
 * A pattern stands for the subjects that it means, because it matches itself, and wider patterns match it.
 * `authenticated` becomes a subject that does not exist, and `means` leaves its name out of account.
 */
function subjectOf(who: string): Subject {
  return parseWrittenSubject(who) ?? parseSubject(who) ?? { kind: 'oidc', name: who };
}
