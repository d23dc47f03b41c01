import type { z } from 'zod';
import { didYouMean, nearest } from '../platform/nearest.ts';
import type { PartReader } from '../platform/yaml/yaml-schema.ts';
import { ACTIONS, type Action } from '../registry/action.ts';
import type { GroupMembers } from './covered-subject.ts';
import { type SubjectForms, whyNoFederatedPattern } from './federated-pattern.ts';
import { type LimitContext, readLimits, readReserves } from './limit-reader.ts';
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
  NAMED,
  PATTERNS,
  POLICY_KEYS,
  POLICY_TEST,
  POLICY_VERSION,
  parseMoment,
} from './policy-schema.ts';
import { type PolicyTest, parseTest } from './policy-test.ts';
import {
  formatGroup,
  groupNameOf,
  isName,
  isWordForEverybody,
  SUBJECT_KINDS,
  splitSubject,
  whyNoName,
} from './subject.ts';

type YamlPath = readonly PropertyKey[];

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
  const names = { groups: new Names<string>('group'), sets: new Names<string>('set') };
  for (const file of files) {
    file.parts.read([], POLICY_KEYS);
    file.parts.read(['version'], POLICY_VERSION);
    names.groups.read(file.parts, 'groups', MEMBERS, (text, path) => member(file.parts, text, path, forms));
    names.sets.read(file.parts, 'sets', PATTERNS, (text, path) =>
      checked(file.parts, canonicalPattern(text, hosted), path),
    );
  }
  const reader = new RuleReader(names, context);
  const rules = files.flatMap((file) => [...reader.rules(file, 'allow'), ...reader.rules(file, 'deny')]);
  const before = countFaults(files);
  const limits = readLimits(files, reader);
  const reserves = readReserves(files, reader);
  const areKnown = countFaults(files) === before && !files.some(hasUnknownKey);
  const known = { groups: names.groups, limits, reserves, areKnown };
  const tests = files.flatMap((file) => readTests(file, known, context));
  return { groups: names.groups.all(), rules, limits, reserves, tests };
}

function countFaults(files: readonly PolicyFile[]): number {
  return files.reduce((sum, { parts }) => sum + parts.faults.length, 0);
}

function hasUnknownKey({ parts }: PolicyFile): boolean {
  return Object.keys(Object(parts.yaml.data)).some((key) => !(key in POLICY_KEYS.shape));
}

/** The most names that one message lists. */
const MOST_LISTED = 12;

/** The groups or sets of all files. */
class Names<T> {
  readonly #what: string;
  readonly #entries = new Map<string, readonly T[]>();
  readonly #places = new Map<string, string>();
  #areKnown = true;

  constructor(what: string) {
    this.#what = what;
  }

  read(
    parts: PartReader,
    key: 'groups' | 'sets',
    schema: typeof MEMBERS,
    resolve: (text: string, path: YamlPath) => readonly T[],
  ): void {
    const before = parts.faults.length;
    const named = parts.read([key], NAMED) ?? {};
    if (parts.faults.length > before || isMisspelt(key, parts.yaml.data)) this.#areKnown = false;
    for (const name of Object.keys(named)) {
      const entries = parts.read([key, name], schema) ?? [];
      if (this.#entries.has(name))
        parts.fault(
          [key, name],
          `the ${this.#what} "${name}" stands at ${this.#places.get(name)} too; rename one, or write what both hold in one`,
          'key',
        );
      else this.#places.set(name, writePlace(parts, [key, name], 'key'));
      this.#entries.set(
        name,
        entries.flatMap((text, index) => resolve(text, [key, name, index])),
      );
    }
  }

  get(name: string): readonly T[] | undefined {
    return this.#entries.get(name);
  }

  /**
   * True if a name can be called missing. It cannot if the key above the names is wrong, because that is
   * reported instead.
   */
  get areKnown(): boolean {
    return this.#areKnown;
  }

  /**
   * Returns the message that no entry has this name, with the names that exist. `sign` is the prefix of a
   * name.
   */
  missing(name: string, sign: string): string {
    const known = [...this.#entries.keys()];
    const meant = didYouMean(name, known, (near) => `${sign}${near}`);
    const more = known.length > MOST_LISTED ? ', …' : '';
    const listed =
      known.length === 0 ? '; there is none' : `; there are ${known.slice(0, MOST_LISTED).join(', ')}${more}`;
    return `there is no ${this.#what} "${name}"${meant === '' ? listed : meant}`;
  }

  all(): Record<string, readonly T[]> {
    return Object.fromEntries(this.#entries);
  }
}

interface KnownNames {
  readonly groups: Names<string>;
  readonly sets: Names<string>;
}

/** True if the policy has another key in its place. */
function isMisspelt(key: string, data: unknown): boolean {
  return Object.keys(Object(data)).some(
    (other) => !(other in POLICY_KEYS.shape) && nearest(other.toLowerCase(), [key]) === key,
  );
}

class RuleReader implements LimitContext {
  readonly #names: KnownNames;
  readonly #context: PolicyContext;
  /** What has each id, and where. */
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
    const action = oneAction(parts, path, rule);
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
    if (other === undefined) this.#ids.set(id, `${what} at ${writePlace(parts, path)}`);
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
    if (patterns === undefined) return missing(parts, path, this.#names.sets, name, '$');
    const mirrored = action === 'pull' ? undefined : patterns.find((one) => !isHostedPattern(one));
    return mirrored === undefined
      ? patterns
      : fault(
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
      const why = whyNotMeant(text, groups);
      return why === undefined ? member(parts, text, path, this.#context.forms) : fault(parts, path, why);
    }
    return groups.get(name) === undefined ? missing(parts, path, groups, name, formatGroup('')) : [text];
  }
}

function missing(parts: PartReader, path: YamlPath, names: Names<string>, name: string, sign: string): [] {
  return names.areKnown ? fault(parts, path, names.missing(name, sign)) : [];
}

/** Returns why a bare name does not mean what its author intends, although a user could have it. */
function whyNotMeant(text: string, groups: Names<string>): string | undefined {
  const plain = text.replace(/^[@%&]|^groups?[:/.](?=.)/, '');
  if (groups.get(plain) !== undefined) {
    const user = plain === text && isName(text) ? `, or user:${text} for a user of that name` : '';
    return `"${text}" is the name of a group; did you mean "group:${plain}"? Write that${user}`;
  }
  if (!isWordForEverybody(text)) return undefined;
  return `"${text}" would be a user; write authenticated for everybody who has logged in, anonymous for those who have not, or user:${text.toLowerCase()} for a user of that name`;
}

interface TestNames {
  readonly groups: Names<string>;
  readonly limits: readonly LimitData[];
  readonly reserves: readonly ReserveData[];
  /** True if an id can be called missing. It cannot if an entry is wrong, because that is reported instead. */
  readonly areKnown: boolean;
}

function readTests(
  { parts }: PolicyFile,
  { groups, limits, reserves, areKnown }: TestNames,
  { hosted }: PolicyContext,
): PolicyTest[] {
  const entries = parts.read(['tests'], LIST) ?? [];
  return entries.flatMap((_, index): PolicyTest[] => {
    const path = ['tests', index];
    const written = parts.read(path, POLICY_TEST);
    if (written === undefined) return [];
    const why = whyNotMeant(written.who, groups);
    if (why !== undefined)
      return fault(parts, [...path, 'who'], `"${written.who}" is not one subject; a test asks for one`);
    const action = oneAction(parts, path, written);
    if (action === undefined) return [];
    const test = parseTest(written, action, hosted);
    if ('wrong' in test) return fault(parts, [...path, test.key], test.wrong);
    const before = parts.faults.length;
    if (areKnown) {
      checkIds(parts, [...path, 'limits'], written.limits, limits, 'limit');
      checkIds(parts, [...path, 'reserve'], written.reserve, reserves, 'reserve');
    }
    return parts.faults.length > before ? [] : [{ ...test, place: parts.yaml.faultAt(path, '') }];
  });
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

/** Returns the key that says what an entry is about. An entry has exactly one. */
function oneAction(
  parts: PartReader,
  path: YamlPath,
  entry: { readonly [Key in Action]?: unknown },
): Action | undefined {
  const [action, second] = ACTIONS.filter((one) => entry[one] !== undefined);
  if (second !== undefined)
    parts.fault(
      [...path, second],
      `one entry is about one action, and this one has "${action}" already; ${second === 'push' || action === 'push' ? 'push includes pull, so remove one of them' : 'write another entry for it'}`,
      'key',
    );
  return second === undefined ? action : undefined;
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
  return 'pattern' in text ? [text.pattern] : fault(parts, path, text.wrong);
}

/** Parses a member of a group, or an entry of a rule's `to`. Users and services share one namespace. */
function member(parts: PartReader, text: string, path: YamlPath, forms: SubjectForms): readonly string[] {
  if (groupNameOf(text) !== undefined)
    return fault(
      parts,
      path,
      `"${text}" is a group, and a group cannot hold a group; list both in the rule's "to"`,
    );
  const { kind, name: value } = splitSubject(text) ?? { kind: 'user', name: text };
  switch (SUBJECT_KINDS[kind]) {
    case 'federated': {
      const why = value === '' ? 'it names nobody' : whyNoFederatedPattern(value, forms);
      return why === undefined ? [text] : fault(parts, path, `"${text}": ${why}`);
    }
    case 'pattern':
      return value === '' ? fault(parts, path, `"${text}" names nobody`) : [text];
    case 'account':
      return isName(value) ? [value] : fault(parts, path, `${whyNoName(value)}${suggestedName(value)}`);
  }
}

function suggestedName(text: string): string {
  if (isWordForEverybody(text)) return '';
  const names = text.split(/[\s,;]+/).filter((one) => one !== '');
  if (names.length > 1 && names.every(isName)) return `; write a list: [${names.join(', ')}]`;
  const plain = text.replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
  return plain !== text && isName(plain) ? `; write "${plain}"` : '';
}

function writePlace(parts: PartReader, path: YamlPath, at: 'key' | 'value' = 'value'): string {
  const { source, line, column } = parts.yaml.faultAt(path, '', at);
  return [source, line, column].filter((part) => part !== undefined).join(':');
}

function fault(parts: PartReader, path: YamlPath, message: string): [] {
  parts.fault(path, message);
  return [];
}
