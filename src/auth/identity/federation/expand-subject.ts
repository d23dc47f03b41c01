import { type SubjectTemplate, UNFIT } from '../../../config/subject-template.ts';
import { isObject } from '../../../platform/object-properties.ts';
import { FEDERATED_LOGIN } from '../../limits.ts';

export type ExpandedSubject =
  | { readonly subject: string }
  /** The reason why the template has no result. Neither reason repeats what the claims contain. */
  | { readonly unfit: string }
  | { readonly ambiguous: string };

/**
 * Fills the template with these claims. A claim is inserted literally: `*` in it is not a wildcard, because
 * subjects are never read as patterns. A claim that contains the text which follows it in the template is
 * refused, because nobody could tell where the claim ends.
 */
export function expandSubject(
  template: SubjectTemplate,
  claims: Readonly<Record<string, unknown>>,
): ExpandedSubject {
  let subject = '';
  for (const [index, part] of template.entries()) {
    if ('text' in part) {
      subject += part.text;
      continue;
    }
    const text = textOf(claimAt(claims, part.claim));
    const name = part.claim.join('/');
    if (text === undefined) return { unfit: `the claim ${name} is missing, or cannot be part of a subject` };
    const next = template[index + 1];
    // The last claim extends to the end of the subject.
    const between =
      next !== undefined && 'text' in next && index + 2 < template.length ? next.text : undefined;
    if (between !== undefined && `${text}${between}`.indexOf(between) !== text.length)
      return { ambiguous: `the claim ${name} holds "${between}", which ends it in the subject` };
    subject += text;
  }
  return { subject };
}

function claimAt(claims: unknown, way: readonly string[]): unknown {
  let value = claims;
  for (const name of way) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

function textOf(claim: unknown): string | undefined {
  if (typeof claim !== 'string' && typeof claim !== 'number' && typeof claim !== 'boolean') return undefined;
  const text = String(claim);
  // Half a pair of surrogates would become the same replacement as any other one.
  const isFit = text.length <= FEDERATED_LOGIN.maxClaim && text.isWellFormed() && !UNFIT.test(text);
  return isFit && text !== '' ? text : undefined;
}
