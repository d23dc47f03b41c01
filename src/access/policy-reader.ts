import type { z } from 'zod';
import type { PartReader } from '../platform/yaml/yaml-schema.ts';
import type { Action } from '../registry/action.ts';
import type { GroupMembers } from './covered-subject.ts';
import { isDirectoryGroup, whyNoDirectoryGroup } from './directory-group.ts';
import { type LimitContext, readLimits, readReserves } from './limit-reader.ts';
import { NamedLists, reportMissing } from './named-lists.ts';
import {
  canonicalPattern,
  hostedPattern,
  isHostedPattern,
  type PatternText,
  tagPattern,
} from './pattern-text.ts';
import type { PolicyContext } from './policy-context.ts';
import type { LimitData, ReserveData, RuleData } from './policy-data.ts';
import {
  ALLOW_RULE,
  DENY_RULES,
  LIST,
  MEMBERS,
  PATTERNS,
  POLICY_KEYS,
  POLICY_VERSION,
  parseMoment,
} from './policy-schema.ts';
import type { PolicyTest } from './policy-test.ts';
import { readAction } from './read-action.ts';
import { readMember, whyOtherwiseMeant } from './read-member.ts';
import { readTests } from './read-tests.ts';
import { formatGroup, groupNameOf } from './subject.ts';
import { formatPlace, reportFault, type YamlPath } from './yaml-fault.ts';

/** A file of a policy whose YAML is parsed. */
export interface PolicyFile {
  readonly source: string;
  /** The name of a rule without an id consists of this and its line. */
  readonly label: string;
  readonly parts: PartReader;
}

export interface ReadRules {
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly rules: readonly RuleData[];
  readonly limits: readonly LimitData[];
  readonly reserves: readonly ReserveData[];
  readonly tests: readonly PolicyTest[];
}

/**
 * Reads files as one policy. It reads every part of each file, so that their readers collect all faults at
 * once.
 */
export function readRules(files: readonly PolicyFile[], context: PolicyContext): ReadRules {
  const { forms, hosted } = context;
  const names = { groups: new NamedLists('group'), sets: new NamedLists('set') };
  for (const file of files) {
    file.parts.read([], POLICY_KEYS);
    file.parts.read(['version'], POLICY_VERSION);
    names.groups.read(file.parts, 'groups', MEMBERS, (text, path) =>
      readMember(file.parts, text, path, forms),
    );
    names.sets.read(file.parts, 'sets', PATTERNS, (text, path) =>
      checked(file.parts, canonicalPattern(text, hosted), path),
    );
  }
  const reader = new PolicyReader(names, context);
  const rules = files.flatMap((file) => [...reader.rules(file, 'allow'), ...reader.rules(file, 'deny')]);
  const before = countFaults(files);
  const limits = readLimits(files, reader);
  const reserves = readReserves(files, reader);
  const areKnown = countFaults(files) === before && !files.some(hasUnknownKey);
  const known = { groups: names.groups, limits, reserves, areKnown };
  const tests = files.flatMap((file) => readTests(file.parts, known, context));
  return { groups: names.groups.all(), rules, limits, reserves, tests };
}

function countFaults(files: readonly PolicyFile[]): number {
  return files.reduce((sum, { parts }) => sum + parts.faults.length, 0);
}

function hasUnknownKey({ parts }: PolicyFile): boolean {
  return Object.keys(Object(parts.yaml.data)).some((key) => !(key in POLICY_KEYS.shape));
}

interface KnownNames {
  readonly groups: NamedLists;
  readonly sets: NamedLists;
}

class PolicyReader implements LimitContext {
  readonly #names: KnownNames;
  readonly #context: PolicyContext;
  /** The owner of each id, and its place. */
  readonly #ids = new Map<string, string>();

  constructor(names: KnownNames, context: PolicyContext) {
    this.#names = names;
    this.#context = context;
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
    const { line = 0, column } = parts.yaml.faultAt(path, '');
    const id = rule.id ?? `${label}:${line}`;
    // Rules without an id can be on one line.
    if (rule.id !== undefined && !this.takeId(parts, path, id, 'rule')) return [];
    const until = rule.until === undefined ? undefined : parseMoment(rule.until)?.ends;
    const action = readAction(parts, path, rule);
    if (action === undefined) return [];
    if (effect === 'allow') refuseMeaningless(parts, path, rule, action);
    return [
      {
        id,
        effect,
        source,
        line,
        ...(column !== undefined && { column }),
        ...(action !== 'pull' && { action }),
        pull: this.#allPatterns(parts, action, rule[action], [...path, action]),
        to: this.subjects(parts, rule.to, [...path, 'to']),
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

  takeId(parts: PartReader, path: YamlPath, id: string, what: string): boolean {
    const other = this.#ids.get(id);
    if (other === undefined) this.#ids.set(id, `${what} at ${formatPlace(parts, path)}`);
    else parts.fault([...path, 'id'], `the id "${id}" is taken by the ${other}; choose another`);
    return other === undefined;
  }

  subjects(parts: PartReader, texts: readonly string[], path: YamlPath): readonly string[] {
    return texts.flatMap((text, at) => this.#subject(parts, text, [...path, at]));
  }

  get groups(): GroupMembers {
    const { groups } = this.#names;
    return {
      membersOf: (group) => groups.get(group),
      groupsOf: (member) =>
        Object.entries(groups.all()).flatMap(([name, members]) =>
          members.includes(member) ? formatGroup(name) : [],
        ),
    };
  }

  #allPatterns(
    parts: PartReader,
    action: Action,
    texts: readonly string[] = [],
    path: YamlPath,
  ): readonly string[] {
    return texts.flatMap((text, at) => this.#patterns(parts, action, text, [...path, at]));
  }

  #patterns(parts: PartReader, action: Action, text: string, path: YamlPath): readonly string[] {
    const { hosted } = this.#context;
    const read = action === 'pull' ? canonicalPattern : hostedPattern;
    if (!text.startsWith('$') || text.startsWith('${'))
      return checked(parts, read(text, hosted, action), path);
    const name = text.slice(1);
    const patterns = this.#names.sets.get(name);
    if (patterns === undefined) return reportMissing(parts, path, this.#names.sets, name, '$');
    const mirrored = action === 'pull' ? undefined : patterns.find((one) => !isHostedPattern(one));
    return mirrored === undefined
      ? patterns
      : reportFault(
          parts,
          path,
          `the set "${text}" has ${mirrored}, which is not hosted, and only what is hosted can be written; write a set of hosted repositories`,
        );
  }

  #subject(parts: PartReader, text: string, path: YamlPath): readonly string[] {
    if (text === 'authenticated' || text === 'anonymous') return [text];
    const { groups } = this.#names;
    const name = groupNameOf(text);
    if (name === undefined) {
      const why = whyOtherwiseMeant(text, groups);
      return why === undefined
        ? readMember(parts, text, path, this.#context.forms)
        : reportFault(parts, path, why);
    }
    if (isDirectoryGroup(name)) {
      const why = whyNoDirectoryGroup(name, this.#context.logins);
      return why === undefined ? [text] : reportFault(parts, path, why);
    }
    return groups.get(name) === undefined
      ? reportMissing(parts, path, groups, name, formatGroup(''))
      : [text];
  }
}

/** Refuses what a rule about writing cannot mean. */
function refuseMeaningless(
  parts: PartReader,
  path: YamlPath,
  { to, private: isPrivate }: Pick<z.output<typeof ALLOW_RULE>, 'to' | 'private'>,
  action: Action,
): void {
  if (action === 'pull') return;
  if (isPrivate !== undefined)
    parts.fault([...path, 'private'], 'a hosted repository is private by nature, so remove this', 'key');
  const anonymous = to.indexOf('anonymous');
  if (anonymous >= 0)
    parts.fault(
      [...path, 'to', anonymous],
      `nobody can ${action} without a login; write users, groups, or authenticated for everybody who has logged in`,
    );
}

function checked(parts: PartReader, text: PatternText, path: YamlPath): readonly string[] {
  return 'pattern' in text ? [text.pattern] : reportFault(parts, path, text.wrong);
}
