/**
 * The way in which a federation makes a subject from the claims of a JWT: `${repository}@${ref}`. The name
 * between the braces is that of a claim; `/` leads into a claim that is a map, so that
 * `${kubernetes.io/namespace}` is a claim of Kubernetes. Every other character belongs to the name.
 */
export type TemplatePart =
  | { readonly text: string }
  /** The path to the value: a claim, or a key inside claims that are maps. */
  | { readonly claim: readonly string[] };

export type SubjectTemplate = readonly TemplatePart[];

/** The template as plain data, or what is wrong with the text. */
export type ReadTemplate = { readonly template: SubjectTemplate } | { readonly wrong: string };

const PART = /\$\{([^{}$]*)\}|([^$]+)/gy;
/**
 * Characters that no part of a subject may contain, because nobody could distinguish such subjects by
 * looking, or write them into a policy.
 */
export const UNFIT = /[\s\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

export function parseTemplate(text: string): ReadTemplate {
  if (UNFIT.test(text)) return { wrong: 'a subject holds no spaces and no control characters' };
  const parts: TemplatePart[] = [];
  let read = 0;
  for (const [whole, claim, literal = ''] of text.matchAll(PART)) {
    read += whole.length;
    parts.push(claim === undefined ? { text: literal } : { claim: claim.split('/') });
  }
  if (read < text.length || text === '')
    return { wrong: 'expected a text with claims in it, such as ${repository}@${ref}' };
  if (parts.some((part, index) => 'claim' in part && 'claim' in (parts[index + 1] ?? { text: '' })))
    return { wrong: 'two claims with nothing between them cannot be told apart; write @ or : between them' };
  if (parts.some((part) => 'text' in part && part.text.includes('*')))
    return { wrong: 'a subject holds no "*" beside its claims: in a policy it is a wildcard' };
  const isNamed = (part: TemplatePart) => !('claim' in part) || part.claim.every((name) => name !== '');
  return parts.every(isNamed) ? { template: parts } : { wrong: 'a claim between ${ and } has no name' };
}

/** Returns the literal texts before, between and after the claims. */
export function literalsOf(template: SubjectTemplate): string[] {
  const literals = [''];
  for (const part of template) {
    if ('text' in part) literals.push(`${literals.pop() ?? ''}${part.text}`);
    else literals.push('');
  }
  return literals;
}

export function claimsOf(template: SubjectTemplate): string[] {
  return template.flatMap((part) => ('claim' in part ? [part.claim.join('/')] : []));
}
