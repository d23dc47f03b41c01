import type { z } from 'zod';
import type { PartReader } from '../platform/yaml-schema.ts';
import { type SubjectForms, whyNoFederatedPattern } from './federated-pattern.ts';
import { canonicalPattern, type PatternText, tagPattern } from './pattern-text.ts';
import type { RuleData } from './policy-data.ts';
import {
  ALLOW_RULE,
  DENY_RULES,
  LIST,
  MEMBERS,
  NAMED,
  PATTERNS,
  POLICY_KEYS,
  POLICY_TEST,
  parseMoment,
  VERSION,
} from './policy-schema.ts';
import { type PolicyTest, parseTest } from './policy-test.ts';
import { isName, whyNoName } from './subject.ts';

type Path = readonly PropertyKey[];

/** A file of a policy, opened. */
export interface PolicyFile {
  readonly source: string;
  /** How rules without an id are called: by this and their line. */
  readonly label: string;
  readonly parts: PartReader;
}

export interface ReadRules {
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly rules: readonly RuleData[];
  readonly tests: readonly PolicyTest[];
}

/** Reads files as one policy: every part of each, so that what is wrong is collected in their readers all at once. */
export function readRules(files: readonly PolicyFile[], forms: SubjectForms): ReadRules {
  const names = { groups: new Names<string>('group'), sets: new Names<string>('set') };
  for (const file of files) {
    file.parts.read([], POLICY_KEYS);
    file.parts.read(['version'], VERSION);
    names.groups.read(file.parts, 'groups', MEMBERS, (text, path) => member(file.parts, text, path, forms));
    names.sets.read(file.parts, 'sets', PATTERNS, (text, path) => pattern(file.parts, text, path));
  }
  const reader = new RuleReader(names, forms);
  const rules = files.flatMap((file) => [...reader.rules(file, 'allow'), ...reader.rules(file, 'deny')]);
  const tests = files.flatMap(readTests);
  return { groups: names.groups.all(), rules, tests };
}

/** Groups or sets, over all files. */
class Names<T> {
  readonly #what: string;
  readonly #entries = new Map<string, readonly T[]>();

  constructor(what: string) {
    this.#what = what;
  }

  read(
    parts: PartReader,
    key: 'groups' | 'sets',
    schema: typeof MEMBERS,
    resolve: (text: string, path: Path) => readonly T[],
  ): void {
    for (const name of Object.keys(parts.read([key], NAMED) ?? {})) {
      const entries = parts.read([key, name], schema) ?? [];
      if (this.#entries.has(name))
        parts.fault([key, name], `the ${this.#what} "${name}" stands in another file too`, 'key');
      this.#entries.set(
        name,
        entries.flatMap((text, index) => resolve(text, [key, name, index])),
      );
    }
  }

  get(name: string): readonly T[] | undefined {
    return this.#entries.get(name);
  }

  all(): Record<string, readonly T[]> {
    return Object.fromEntries(this.#entries);
  }
}

class RuleReader {
  readonly #names: { readonly groups: Names<string>; readonly sets: Names<string> };
  readonly #forms: SubjectForms;
  readonly #ids = new Set<string>();

  constructor(names: { readonly groups: Names<string>; readonly sets: Names<string> }, forms: SubjectForms) {
    this.#names = names;
    this.#forms = forms;
  }

  rules(file: PolicyFile, list: RuleData['effect']): RuleData[] {
    const entries = file.parts.read([list], LIST) ?? [];
    return entries.flatMap((_, index) => this.#rule(file, list, index));
  }

  #rule({ source, label, parts }: PolicyFile, effect: RuleData['effect'], index: number): RuleData[] {
    const path = [effect, index];
    const schema = effect === 'allow' ? ALLOW_RULE : DENY_RULES;
    const rule: z.output<typeof ALLOW_RULE> | undefined = parts.read(path, schema);
    if (rule === undefined) return [];
    if (rule.id !== undefined && this.#ids.has(rule.id))
      return fault(parts, [...path, 'id'], `the id "${rule.id}" is taken by another rule`);
    const line = parts.yaml.faultAt(path, '').line ?? 0;
    const id = rule.id ?? `${label}:${line}`;
    this.#ids.add(id);
    const until = rule.until === undefined ? undefined : parseMoment(rule.until)?.ends;
    return [
      {
        id,
        effect,
        source,
        line,
        pull: rule.pull.flatMap((text, at) => this.#pull(parts, text, [...path, 'pull', at])),
        to: rule.to.flatMap((text, at) => this.#subject(parts, text, [...path, 'to', at])),
        ...(rule.from && { from: rule.from }),
        ...(rule.tags && {
          tags: rule.tags.flatMap((text, at) => checked(parts, tagPattern(text), [...path, 'tags', at])),
        }),
        ...(until !== undefined && { until }),
        private: rule.private ?? false,
        ...(rule.because !== undefined && { because: rule.because }),
      },
    ];
  }

  #pull(parts: PartReader, text: string, path: Path): readonly string[] {
    if (!text.startsWith('$') || text.startsWith('${')) return pattern(parts, text, path);
    const name = text.slice(1);
    return this.#names.sets.get(name) ?? fault(parts, path, `there is no set "${name}"`);
  }

  #subject(parts: PartReader, text: string, path: Path): readonly string[] {
    if (text === 'authenticated' || text === 'anonymous') return [text];
    if (!text.startsWith('group:')) return member(parts, text, path, this.#forms);
    const name = text.slice('group:'.length);
    return this.#names.groups.get(name) === undefined
      ? fault(parts, path, `there is no group "${name}"`)
      : [text];
  }
}

function readTests({ parts }: PolicyFile): PolicyTest[] {
  const entries = parts.read(['tests'], LIST) ?? [];
  return entries.flatMap((_, index): PolicyTest[] => {
    const path = ['tests', index];
    const written = parts.read(path, POLICY_TEST);
    if (written === undefined) return [];
    const test = parseTest(written);
    return 'wrong' in test
      ? fault(parts, [...path, test.key], test.wrong)
      : [{ ...test, place: parts.yaml.faultAt(path, '') }];
  });
}

function pattern(parts: PartReader, text: string, path: Path): readonly string[] {
  return checked(parts, canonicalPattern(text), path);
}

function checked(parts: PartReader, text: PatternText, path: Path): readonly string[] {
  return 'pattern' in text ? [text.pattern] : fault(parts, path, text.wrong);
}

/** A member of a group, or an entry of a rule's `to`. Users and services share one space of names. */
function member(parts: PartReader, text: string, path: Path, forms: SubjectForms): readonly string[] {
  const [, kind, value = ''] = /^(user|service|cert|oidc|group):(.*)$/s.exec(text) ?? ['', 'name', text];
  switch (kind) {
    case 'group':
      return fault(parts, path, `a group cannot hold a group; list both in the rule's "to"`);
    case 'oidc': {
      const why = value === '' ? 'it names nobody' : whyNoFederatedPattern(value, forms);
      return why === undefined ? [text] : fault(parts, path, `"${text}": ${why}`);
    }
    case 'cert':
      return value === '' ? fault(parts, path, `"${text}" names nobody`) : [text];
    default:
      return isName(value) ? [value] : fault(parts, path, whyNoName(value) ?? '');
  }
}

function fault(parts: PartReader, path: Path, message: string): [] {
  parts.fault(path, message);
  return [];
}
