import assert from 'node:assert/strict';
import { type Decision, decide, type Policy } from '../../../src/access/policy.ts';
import { parsePolicy } from '../../../src/access/policy-file.ts';
import { parseWrittenSubject } from '../../../src/access/subject.ts';
import { subjectForms } from '../../../src/config/federation.ts';
import { formatFault } from '../../../src/platform/fault.ts';
import { parseImage } from '../../../src/registry/image.ts';

/** The subject forms if nothing else is configured. */
export const FORMS = subjectForms([]);
export const NOW = Date.parse('2026-11-22T12:00:00Z');

/** Parses the files of a policy by their labels, each as it is in its file. */
export function parseFiles(files: Readonly<Record<string, string>>, now = NOW, hosted?: ReadonlySet<string>) {
  const sources = Object.entries(files).map(([label, text]) => ({ source: label, label, text }));
  return parsePolicy(sources, now, { forms: FORMS, hosted });
}

/** Parses the policy of `access.yaml`, given without its first and last line. */
export function policyOf(rules: string, now = NOW, hosted?: ReadonlySet<string>): Policy {
  const parsed = parseFiles({ 'access.yaml': `version: 1\n${rules}\n...\n` }, now, hosted);
  assert.ok('value' in parsed, 'faults' in parsed ? parsed.faults.map(formatFault).join('\n') : '');
  return parsed.value.policy;
}

export function faultsOf(text: string): string[] {
  const parsed = parseFiles({ 'access.yaml': text });
  return 'faults' in parsed ? parsed.faults.map(formatFault) : [];
}

export function warningsOf(rules: string): string[] {
  const parsed = parseFiles({ 'access.yaml': `version: 1\n${rules}\n...\n` });
  assert.ok('value' in parsed);
  return (parsed.warnings ?? []).map(formatFault);
}

/** Asks a policy as `hubgate access explain` does. */
export function ask(
  policy: Policy,
  who: string,
  what: string,
  { from = '192.0.2.1', at = NOW }: { from?: string; at?: number } = {},
): Decision {
  const subject = parseWrittenSubject(who) ?? assert.fail(who);
  const image = parseImage(what) ?? assert.fail(what);
  return decide(policy, { action: 'pull', subject, address: from, ...image, at });
}
