/**
 * Patterns of federated subjects, `oidc:github:acme/**@refs/heads/main`. They are matched claim by claim, so that a wildcard of
 * one claim never reaches into another one: a branch may be called `topic@refs/heads/main`.
 */
import { compilePattern, matchesPattern, type Pattern } from './pattern.ts';

/** What stands before, between and behind the claims of a federation's subjects: of `${repository}@${ref}` '', '@' and ''. */
export type SubjectForm = readonly string[];
/** By the names of federations. The subjects of any other one are one claim. */
export type SubjectForms = Readonly<Record<string, SubjectForm>>;

const ONE_CLAIM: SubjectForm = ['', ''];

interface ClaimPatterns {
  readonly federation: string;
  readonly form: SubjectForm;
  readonly claims: readonly string[];
  /** Ends it with `**` before all claims are named? Then the others may be anything. */
  readonly isOpen: boolean;
}

/** Does it mean this subject's name, which is what stands behind `oidc:`? */
export type MatchFederated = (name: string) => boolean;

/** The pattern behind `oidc:`, compiled. Undefined: it was never checked by `whyNoFederatedPattern`. */
export function compileFederated(text: string, forms: SubjectForms): MatchFederated | undefined {
  if (text === '**') return () => true;
  if (!isWild(text)) return (name) => name === text;
  const read = readPattern(text, forms);
  if ('wrong' in read) return undefined;
  const { federation, form, isOpen } = read;
  const patterns = read.claims.map(compilePattern);
  const beginning = `${federation}:`;
  return (name) => {
    // `hubgate access who-can` asks for whom a pattern means by the pattern.
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

/** What is wrong with the pattern behind `oidc:`, of which somebody else says where it stands. */
export function whyNoFederatedPattern(text: string, forms: SubjectForms): string | undefined {
  if (text === '**' || !isWild(text)) return undefined;
  const read = readPattern(text, forms);
  return 'wrong' in read ? read.wrong : undefined;
}

/** Why nobody can be called so; undefined: somebody can, or it is a pattern. `text` is what stands behind `oidc:`. */
export function whyNoFederatedSubject(text: string, forms: SubjectForms): string | undefined {
  if (isWild(text)) return undefined;
  const { federation, rest } = parts(text);
  if (federation === undefined) return `it names no federation; subjects are written oidc:NAME:…`;
  const form = formOf(federation, forms);
  const claims = splitClaims(rest, form);
  return claims === undefined || claims.length < form.length - 1 || claims.includes('')
    ? `nobody can be called so: subjects of ${federation} are written ${writeForm(federation, form)}`
    : undefined;
}

function readPattern(text: string, forms: SubjectForms): ClaimPatterns | { readonly wrong: string } {
  if (text.includes('${')) return { wrong: '${user} stands for the names of users and services only' };
  const { federation, rest } = parts(text);
  if (federation === undefined || isWild(federation))
    return { wrong: 'it must name the federation, as oidc:NAME:…; oidc:** means everybody of all of them' };
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
      `${writeForm(federation, form)}, so write what stands between the claims too, or end the pattern with **`,
  };
}

/**
 * The claims in a subject, or the patterns of claims in a pattern of subjects. The first occurrence of what stands between two
 * claims ends the first of them; a login whose claim holds it is refused. Fewer than the form has: something is missing between
 * them. Undefined: what stands before or behind them is missing.
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

function writeForm(federation: string, form: SubjectForm): string {
  return `oidc:${federation}:${form.join('…')}`;
}

function isWild(text: string): boolean {
  return text.includes('*') || text.includes('${user}');
}
