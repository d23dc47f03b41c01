import type { z } from 'zod';
import type { Fault } from '../platform/fault.ts';
import { type Image, parseImage } from '../registry/image.ts';
import { type Decision, decide, type Policy } from './policy.ts';
import { type POLICY_TEST, parseMoment } from './policy-schema.ts';
import { readSubject, type Subject } from './subject.ts';

/** One entry of `tests`: an expected decision. */
export interface PolicyTest {
  readonly place: Fault;
  readonly subject: Subject;
  readonly image: Image;
  /** Absent: no particular address, so that no rule with `from` matches. */
  readonly address?: string;
  /** The time in milliseconds; absent: the time at which the test runs. */
  readonly at?: number;
  /** `public`: only public content is allowed; `private`: private content is allowed too; `allow`: either. */
  readonly expect: 'allow' | 'deny' | 'public' | 'private';
}

export type ParsedTest = Omit<PolicyTest, 'place'> | { readonly wrong: string; readonly key: 'who' | 'pull' };

export function parseTest({ who, pull, from, at, expect }: z.output<typeof POLICY_TEST>): ParsedTest {
  const subject = readSubject(who);
  if (subject === undefined) return { wrong: `"${who}" is not one subject; a test asks for one`, key: 'who' };
  const image = parseImage(pull);
  if (image === undefined) return { wrong: `"${pull}" is no repository, with a tag or without`, key: 'pull' };
  const moment = at === undefined ? undefined : parseMoment(at);
  return {
    subject,
    image,
    expect,
    ...(from !== undefined && { address: from }),
    ...(moment && { at: moment.begins }),
  };
}

/** Returns the tests that fail, as faults with their place. `now` is in milliseconds. */
export function failingTests(policy: Policy, tests: readonly PolicyTest[], now: number): Fault[] {
  return tests.flatMap((test): Fault[] => {
    const { subject, image, address = '', at = now } = test;
    const decision = decide(policy, { action: 'pull', subject, address, ...image, at });
    if (isAsExpected(decision, test.expect)) return [];
    const message = `this test expects ${test.expect}, but ${reasonFor(decision, test.expect)}`;
    return [{ ...test.place, message }];
  });
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
