import { createHash } from 'node:crypto';
import { byPosition, type Fault, type Parsed } from '../platform/fault.ts';
import type { YamlEntryCache } from '../platform/yaml/yaml-entry-cache.ts';
import { openYaml, type PartReader } from '../platform/yaml/yaml-schema.ts';
import { compilePolicy, type Policy } from './policy.ts';
import type { PolicyContext } from './policy-context.ts';
import { lintPolicy } from './policy-lint.ts';
import { type PolicyFile, readRules } from './policy-reader.ts';
import { failingTests, type PolicyTest } from './policy-test.ts';

/** A file of a policy, as it was read. */
export interface PolicySource {
  /** The name of the file in faults. */
  readonly source: string;
  /** The name of the file within its policy: `access.yaml`, `access.d/team.yaml`. */
  readonly label: string;
  readonly text: string;
}

/** A valid policy, and its tests. */
export interface ReadPolicy {
  readonly policy: Policy;
  readonly tests: readonly PolicyTest[];
}

/**
 * Parses `sources` as one policy. Returns the policy, or everything that is wrong with it, including the
 * tests that it fails. `now` is in milliseconds.
 */
export function parsePolicy(
  sources: readonly PolicySource[],
  now: number,
  context: PolicyContext,
  open: OpenYaml = openYaml,
): Parsed<ReadPolicy> {
  const parsed = parseRules(sources, context, open);
  if ('faults' in parsed) return parsed;
  const { policy, tests } = parsed.value;
  const faults = failingTests(policy, tests, now);
  return faults.length > 0
    ? { faults: faults.toSorted(byPosition) }
    : { value: parsed.value, warnings: lintPolicy(policy, now) };
}

/**
 * Parses a policy of which `memory` has cached most entries. If anything is wrong, the policy is parsed again
 * as a whole, which reports all faults.
 */
export function parsePolicyAgain(
  sources: readonly PolicySource[],
  now: number,
  context: PolicyContext,
  memory: YamlEntryCache,
): Parsed<ReadPolicy> {
  const parsed = parsePolicy(sources, now, context, (source, text) => {
    const parts = memory.open(source, text);
    return parts === undefined
      ? { faults: [{ source, message: 'to be read as a whole' }] }
      : { value: parts };
  });
  memory.forget();
  return 'faults' in parsed ? parsePolicy(sources, now, context) : parsed;
}

type OpenYaml = (source: string, text: string) => Parsed<PartReader>;

/** Parses a policy without running its tests. */
export function parseRules(
  sources: readonly PolicySource[],
  context: PolicyContext,
  open: OpenYaml = openYaml,
): Parsed<ReadPolicy> {
  const files: PolicyFile[] = [];
  const faults: Fault[] = [];
  for (const { source, label, text } of sources) {
    const opened = openPolicyFile(source, text, open);
    if ('faults' in opened) faults.push(...opened.faults);
    else files.push({ source, label, parts: opened.value });
  }
  // A name that seems to be missing may be in the file that cannot be read.
  if (faults.length > 0) return { faults };
  const { tests, ...read } = readRules(files, context);
  faults.push(...files.flatMap(({ parts }) => parts.faults));
  if (faults.length > 0) return { faults: faults.toSorted(byPosition) };
  return {
    value: {
      policy: compilePolicy({ version: versionOf(sources), ...read, federations: context.forms }),
      tests,
    },
  };
}

function openPolicyFile(source: string, text: string, open: OpenYaml): Parsed<PartReader> {
  if (/\n\.\.\.\s*$/.test(text)) {
    const opened = open(source, text);
    return 'faults' in opened ? { faults: opened.faults.map((one) => meantAsGroup(one, text)) } : opened;
  }
  const message = 'the last line is not "...": the file is taken for half-written, and nothing of it is used';
  return { faults: [{ source, line: text.trimEnd().split('\n').length, column: 1, message }] };
}

/** Corrects the message if `@web` is meant as a group, as other programs write it. */
function meantAsGroup(fault: Fault, text: string): Fault {
  const line = text.split('\n')[(fault.line ?? 0) - 1] ?? '';
  const [, name] = /^@([\w.-]+)/.exec(line.slice((fault.column ?? 1) - 1)) ?? [];
  return name === undefined
    ? fault
    : {
        ...fault,
        message: `"@${name}" begins with "@"; write group:${name} for a group, or ${name} for a user`,
      };
}

/** Computes the version. The labels count too, because the names of rules may contain them. */
function versionOf(sources: readonly PolicySource[]): string {
  const hash = createHash('sha256');
  for (const { label, text } of sources) hash.update(JSON.stringify([label, text]));
  return hash.digest('hex');
}
