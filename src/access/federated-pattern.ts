/**
 * Compiles patterns of federated subjects, such as `oidc:github:acme/**@refs/heads/main`. They are matched
 * claim by claim, so that a wildcard in one claim never reaches into another: a branch may be called
 * `topic@refs/heads/main`.
 */
import { compilePattern, matchesPattern, type Pattern } from './pattern.ts';
import type { NamedSubject } from './subject.ts';

/**
 * The literal texts before, between and after the claims of a federation's subjects: '', '@' and '' for
 * `${repository}@${ref}`.
 */
export type SubjectForm = readonly string[];
/** The subject forms by the federation's name. In any other federation the whole subject is one claim. */
export type SubjectForms = Readonly<Record<string, SubjectForm>>;

const ONE_CLAIM: SubjectForm = ['', ''];

interface ClaimPatterns {
  readonly federation: string;
  readonly form: SubjectForm;
  readonly claims: readonly string[];
  /** True if the pattern ends with `**` before it names all claims. The other claims may then be anything. */
  readonly isOpen: boolean;
}

/** Returns true if the pattern matches a subject's name. */
export type MatchFederated = (name: string) => boolean;

/** Compiles a pattern. The result is undefined if `whyNoFederatedPattern` would refuse the pattern. */
export function compileFederated(pattern: NamedSubject, forms: SubjectForms): MatchFederated | undefined {
  const { name: text } = pattern;
  if (text === '**') return () => true;
  if (!isWild(text)) return (name) => name === text;
  const read = parseClaimPatterns(pattern, forms);
  if ('wrong' in read) return undefined;
  const { federation, form, isOpen } = read;
  const patterns = read.claims.map(compilePattern);
  const beginning = `${federation}:`;
  return (name) => {
    // `hubgate access who-can` asks about the text of the pattern as if it were the name of a subject.
    if (name === text) return true;
    const claims = name.startsWith(beginning) ? splitClaims(name.slice(beginning.length), form) : undefined;
    return claims !== undefined && matchesClaims(patterns, claims, isOpen);
  };
}

function matchesClaims(patterns: readonly Pattern[], claims: readonly string[], isOpen: boolean): boolean {
  const hasEnough = isOpen ? claims.length >= patterns.length : claims.length === patterns.length;
  return (
    hasEnough && patterns.every((pattern, index) => matchesPattern(pattern, claims[index] ?? '', undefined))
  );
}

/** Returns what is wrong with a pattern. The caller adds where the pattern is. */
export function whyNoFederatedPattern(pattern: NamedSubject, forms: SubjectForms): string | undefined {
  if (pattern.name === '**' || !isWild(pattern.name)) return undefined;
  const read = parseClaimPatterns(pattern, forms);
  return 'wrong' in read ? read.wrong : undefined;
}

/** Returns why nobody can be this subject; undefined if somebody can, or if it is a pattern. */
export function whyNoFederatedSubject({ kind, name }: NamedSubject, forms: SubjectForms): string | undefined {
  if (isWild(name)) return undefined;
  const { federation, rest } = parts(name);
  if (federation === undefined) return `it names no federation; subjects are written ${kind}:NAME:…`;
  const form = formOf(federation, forms);
  const claims = splitClaims(rest, form);
  return claims === undefined || claims.length < form.length - 1 || claims.includes('')
    ? `nobody can be called so: subjects of ${federation} are written ${formatForm(kind, federation, form)}`
    : undefined;
}

function parseClaimPatterns(
  { kind, name: text }: NamedSubject,
  forms: SubjectForms,
): ClaimPatterns | { readonly wrong: string } {
  if (text.includes('${')) return { wrong: '${user} stands for the names of users and services only' };
  const { federation, rest } = parts(text);
  if (federation === undefined || isWild(federation))
    return {
      wrong: `it must name the federation, as ${kind}:NAME:…; ${kind}:** means everybody of all of them`,
    };
  const form = formOf(federation, forms);
  if (rest === '**') return { federation, form, claims: ['**'], isOpen: true };
  const claims = splitClaims(rest, form) ?? splitClaims(rest, [...form.slice(0, -1), '']);
  const last = claims?.at(-1) ?? '';
  const isWhole = claims?.length === form.length - 1 && rest.endsWith(form.at(-1) ?? '');
  const isOpen = !isWhole && last.endsWith('**');
  if (claims !== undefined && (isWhole || isOpen) && !claims.includes(''))
    return { federation, form, claims, isOpen };
  return {
    wrong:
      `a wildcard could reach from one claim into another: subjects of ${federation} are written ` +
      `${formatForm(kind, federation, form)}, so write what stands between the claims too, or end the pattern with **`,
  };
}

/**
 * Splits a subject into claims, or a pattern of subjects into patterns of claims. The first occurrence of the
 * text between two claims ends the first of them; a login whose claim contains that text is refused. The
 * result has fewer claims than the form if a text between them is missing, and is undefined if the text
 * before or after them is missing.
 */
function splitClaims(text: string, form: SubjectForm): string[] | undefined {
  const [before = '', ...others] = form;
  const behind = others.pop() ?? '';
  if (!text.startsWith(before)) return undefined;
  const claims: string[] = [];
  let rest = text.slice(before.length);
  for (const between of others) {
    const end = rest.indexOf(between);
    if (end < 0) return [...claims, rest];
    claims.push(rest.slice(0, end));
    rest = rest.slice(end + between.length);
  }
  return rest.endsWith(behind) ? [...claims, rest.slice(0, rest.length - behind.length)] : undefined;
}

function parts(text: string): { readonly federation?: string; readonly rest: string } {
  const colon = text.indexOf(':');
  return colon < 0 ? { rest: text } : { federation: text.slice(0, colon), rest: text.slice(colon + 1) };
}

function formOf(federation: string, forms: SubjectForms): SubjectForm {
  return Object.hasOwn(forms, federation) ? (forms[federation] ?? ONE_CLAIM) : ONE_CLAIM;
}

function formatForm(kind: string, federation: string, form: SubjectForm): string {
  return `${kind}:${federation}:${form.join('…')}`;
}

function isWild(text: string): boolean {
  return text.includes('*') || text.includes('${user}');
}
