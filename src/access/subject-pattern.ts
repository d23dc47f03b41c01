import { getOrInsert } from '../platform/get-or-insert.ts';
import { compileFederated, type SubjectForms } from './federated-pattern.ts';
import { compilePattern, matchesPattern } from './pattern.ts';
import {
  formatGroup,
  formatSubject,
  groupNameOf,
  isFederated,
  nameOf,
  type Subject,
  splitSubject,
} from './subject.ts';

/** The compiled form of an entry of a rule's `to`. */
export interface SubjectPattern {
  /** The text as in the file. */
  readonly text: string;
  /**
   * Every subject that matches has this key, see `SubjectPatterns`. If it is undefined, only `matches` can
   * tell.
   */
  readonly key?: string;
  /** `groups` are those of directories that the subject has, such as `corp/payments`. */
  matches(subject: Subject, groups?: readonly string[]): boolean;
}

/** The entries of `to` in one policy. */
export interface SubjectPatterns {
  /** Compiles an entry. Each group is compiled once, no matter how many rules name it. */
  compile(text: string): SubjectPattern;
  /** Returns the keys of a subject. Every pattern with a key that matches the subject has one of them. */
  keysOf(subject: Subject, groups?: readonly string[]): readonly string[];
  /** Returns the keys of one of the subjects that a text of a `to` means. */
  keysOfAny(text: string): readonly string[];
  /** Returns the groups that have this member, as they are written in a `to`. */
  groupsOf(member: string): readonly string[];
}

export function compileSubjects(
  groups: Readonly<Record<string, readonly string[]>>,
  forms: SubjectForms,
): SubjectPatterns {
  const compiled = new Map<string, SubjectPattern>();
  const groupsOf = new Map<string, string[]>();
  for (const [name, members] of Object.entries(groups)) {
    const group = compileGroup(name, members, forms);
    compiled.set(group.text, group);
    for (const member of new Set(members)) getOrInsert(groupsOf, member, () => []).push(group.text);
  }
  const groupsWith = (member: string) => groupsOf.get(member) ?? [];
  const keysOf = (own: string) => [own, 'authenticated', ...groupsWith(own)];
  return {
    compile: (text) => compiled.get(text) ?? compileOne(text, forms),
    keysOf(subject, brought = []) {
      if (subject.kind === 'anonymous') return ['anonymous'];
      return [...keysOf(nameOf(subject) ?? formatSubject(subject)), ...brought.map(formatGroup)];
    },
    keysOfAny(text) {
      const group = groupNameOf(text);
      const [member] = group === undefined ? [] : (groups[group] ?? []);
      return [...keysOf(text), ...(member === undefined ? [] : keysOf(member))];
    },
    groupsOf: groupsWith,
  };
}

function compileGroup(name: string, members: readonly string[], forms: SubjectForms): SubjectPattern {
  const names = new Set(members);
  const others = members.filter((text) => text.includes(':')).map((member) => compileOne(member, forms));
  const text = formatGroup(name);
  return {
    text,
    ...(others.every(({ key }) => key !== undefined) && { key: text }),
    matches: (subject, brought = []) => {
      if (brought.includes(name)) return true;
      const own = nameOf(subject);
      return (own !== undefined && names.has(own)) || others.some((pattern) => pattern.matches(subject));
    },
  };
}

function compileOne(text: string, forms: SubjectForms): SubjectPattern {
  if (text === 'authenticated') return { text, key: text, matches: ({ kind }) => kind !== 'anonymous' };
  const group = groupNameOf(text);
  // A group of a directory has no members in the policy.
  if (group !== undefined) return compileGroup(group, [], forms);
  if (text === 'anonymous') return { text, key: text, matches: ({ kind }) => kind === 'anonymous' };
  const written = splitSubject(text);
  if (written === undefined || nameOf(written) !== undefined)
    return { text, key: text, matches: (subject) => nameOf(subject) === text };
  const { kind, name } = written;
  const pattern = compilePattern(name);
  const federated = isFederated(written) ? compileFederated(written, forms) : undefined;
  if (isFederated(written) && federated === undefined)
    throw new Error(`"${text}" does not fit how the subjects of that federation are written`);
  return {
    text,
    // A name without wildcards is its own key.
    ...(pattern.steps.length === 0 && { key: text }),
    matches: (subject) =>
      subject.kind !== 'anonymous' &&
      subject.kind === kind &&
      (federated?.(subject.name) ?? matchesPattern(pattern, subject.name, undefined)),
  };
}
