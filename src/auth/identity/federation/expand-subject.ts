import { type SubjectTemplate, UNFIT } from '../../../config/subject-template.ts';

const MAX_CLAIM_LENGTH = 255;

/**
 * What a template comes to with these claims; undefined where one of them is missing or is not fit to be a part of a name.
 * A claim stands for itself, letter by letter: `*` in it is no wildcard, for subjects are never read as patterns.
 */
export function expandSubject(
  template: SubjectTemplate,
  claims: Readonly<Record<string, unknown>>,
): string | undefined {
  let subject = '';
  for (const part of template) {
    const text = 'text' in part ? part.text : textOf(claimAt(claims, part.claim));
    if (text === undefined) return undefined;
    subject += text;
  }
  return subject;
}

function claimAt(claims: unknown, way: readonly string[]): unknown {
  let value = claims;
  for (const name of way) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function textOf(claim: unknown): string | undefined {
  if (typeof claim !== 'string' && typeof claim !== 'number' && typeof claim !== 'boolean') return undefined;
  const text = String(claim);
  // Half a pair of surrogates would become the same replacement as any other one.
  const isFit = text.length <= MAX_CLAIM_LENGTH && text.isWellFormed() && !UNFIT.test(text);
  return isFit && text !== '' ? text : undefined;
}
