import { compilePattern, matchesPattern } from './pattern.ts';
import type { Subject } from './subject.ts';

/** Whom an entry of a rule's `to` means. */
export interface SubjectPattern {
  /** As in the file. */
  readonly text: string;
  matches(subject: Subject): boolean;
}

/** Compiles entries of `to`; each group once, however many rules name it. */
export function compileSubjects(
  groups: Readonly<Record<string, readonly string[]>>,
): (text: string) => SubjectPattern {
  const compiled = new Map(
    Object.entries(groups).map(([name, members]) => [`group:${name}`, compileGroup(name, members)]),
  );
  return (text) => compiled.get(text) ?? compileOne(text);
}

function compileGroup(name: string, members: readonly string[]): SubjectPattern {
  const patterns = members.map(compileOne);
  const names = new Set(members);
  const others = patterns.filter(({ text }) => text.includes(':'));
  return {
    text: `group:${name}`,
    matches: (subject) =>
      (isNamed(subject) && names.has(subject.name)) || others.some((pattern) => pattern.matches(subject)),
  };
}

/** Users and services share one space of names. */
function isNamed(subject: Subject): subject is Subject & { readonly kind: 'user' | 'service' } {
  return subject.kind === 'user' || subject.kind === 'service';
}

function compileOne(text: string): SubjectPattern {
  return { text, matches: matcherOf(text) };
}

function matcherOf(text: string): SubjectPattern['matches'] {
  if (text === 'authenticated') return ({ kind }) => kind !== 'anonymous';
  if (text === 'anonymous') return ({ kind }) => kind === 'anonymous';
  const [, kind, value = ''] = /^(cert|oidc):(.*)$/s.exec(text) ?? [];
  if (kind === undefined) return (subject) => isNamed(subject) && subject.name === text;
  const pattern = compilePattern(value);
  return (subject) =>
    subject.kind !== 'anonymous' && subject.kind === kind && matchesPattern(pattern, subject.name, undefined);
}
