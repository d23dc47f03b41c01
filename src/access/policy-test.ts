import type { z } from 'zod';
import type { Fault } from '../platform/fault.ts';
import type { Action } from '../registry/action.ts';
import { ANY_NAMES, type Image, parseImage } from '../registry/image.ts';
import { type HostedNamespaces, isHosted } from '../registry/repository.ts';
import { limitsFor, reservesFor } from './limits.ts';
import { type Decision, decide, type Policy } from './policy.ts';
import { type POLICY_TEST, parseMoment } from './policy-schema.ts';
import { parseWrittenSubject, type Subject } from './subject.ts';

/** One entry of `tests`: an expected decision. */
export interface PolicyTest {
  readonly place: Fault;
  readonly action: Action;
  readonly subject: Subject;
  /** The groups that the subject brings from a directory. */
  readonly groups: readonly string[];
  readonly image: Image;
  /** Absent: no particular address, so that no rule with `from` matches. */
  readonly address?: string;
  /** The time in milliseconds; absent: the time at which the test runs. */
  readonly at?: number;
  /** `public`: only public content is allowed; `private`: private content is allowed too; `allow`: either. */
  readonly expect: 'allow' | 'deny' | 'public' | 'private';
  /** The ids of exactly those limits that apply; absent: whichever apply. */
  readonly limits?: readonly string[];
  /** The ids of exactly those reserves that are kept for the subject; absent: whichever are. */
  readonly reserve?: readonly string[];
}

export type ParsedTest =
  | Omit<PolicyTest, 'place'>
  | { readonly wrong: string; readonly key: 'who' | 'limits' | 'reserve' | Action };

export function parseTest(
  written: z.output<typeof POLICY_TEST>,
  action: Action,
  hosted: HostedNamespaces | undefined,
): ParsedTest {
  const { who, groups = [], from, at, expect, limits, reserve } = written;
  const what = written[action] ?? '';
  const subject = parseWrittenSubject(who);
  if (subject === undefined) return { wrong: `"${who}" is not one subject; a test asks for one`, key: 'who' };
  const image = parseImage(what, { ...ANY_NAMES, hosted });
  if (image === undefined) return { wrong: `"${what}" is no repository, with a tag or without`, key: action };
  if (action !== 'pull' && !isHosted(image.repository))
    return { wrong: `"${what}" is not hosted, so nobody can ${action} it`, key: action };
  if (expect === 'deny' && (limits ?? reserve) !== undefined)
    return {
      wrong: 'a pull that is denied counts toward no limit; remove "limits" and "reserve"',
      key: limits ? 'limits' : 'reserve',
    };
  const moment = at === undefined ? undefined : parseMoment(at);
  return {
    action,
    subject,
    groups,
    image,
    expect,
    ...(from !== undefined && { address: from }),
    ...(moment && { at: moment.begins }),
    ...(limits && { limits }),
    ...(reserve && { reserve }),
  };
}

/** Returns the tests that fail, as faults with their place. `now` is in milliseconds. */
export function failingTests(policy: Policy, tests: readonly PolicyTest[], now: number): Fault[] {
  return tests.flatMap((test): Fault[] => {
    const why = whyFailing(policy, test, now);
    return why === undefined ? [] : [{ ...test.place, message: `this test expects ${why}` }];
  });
}

/** Returns what a test expects, and what is true instead; undefined if the test passes. */
function whyFailing(policy: Policy, test: PolicyTest, now: number): string | undefined {
  const { action, subject, groups, image, address = '', at = now, expect } = test;
  const decision = decide(policy, { action, subject, groups, address, ...image, at });
  if (!isAsExpected(decision, expect)) return `${expect}, but ${reasonFor(decision, expect)}`;
  const question = { subject, groups, address, upstream: image.repository.upstream };
  return (
    whyOthers('limits', test.limits, limitsFor(policy.limits, question)) ??
    whyOthers('reserve', test.reserve, reservesFor(policy.limits, question).own)
  );
}

function whyOthers(
  key: 'limits' | 'reserve',
  expected: readonly string[] | undefined,
  found: readonly { readonly id: string }[],
): string | undefined {
  if (expected === undefined) return undefined;
  const ids = found.map(({ id }) => id);
  const write = (some: readonly string[]) => `[${some.toSorted().join(', ')}]`;
  return write(ids) === write([...new Set(expected)])
    ? undefined
    : `${key}: ${write(expected)}, but it is ${write(ids)}`;
}

function isAsExpected(decision: Decision, expected: PolicyTest['expect']): boolean {
  if (expected === 'allow' || expected === 'deny') return decision.decision === expected;
  return decision.decision === 'allow' && decision.private === (expected === 'private');
}

function reasonFor(decision: Decision, expected: PolicyTest['expect']): string {
  const { rule } = decision;
  if (rule === undefined) return 'no rule allows it';
  if (decision.decision === 'deny' || expected === 'deny')
    return `the rule "${rule}" says ${decision.decision}`;
  return `the rule "${rule}" allows ${decision.private ? 'private content too' : 'public content only'}`;
}
