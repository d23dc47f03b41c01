/**
 * True if a tag matches a pattern in which `*` stands for any characters. The work grows with the length of
 * the tag times that of the pattern at most, and both are short.
 */
function matchesTagPattern(tag: string, pattern: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return tag === first;
  if (tag.length < first.length + last.length || !tag.startsWith(first) || !tag.endsWith(last)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = tag.indexOf(part, at);
    if (found < 0 || found + part.length > tag.length - last.length) return false;
    at = found + part.length;
  }
  return true;
}

/** True if one of the patterns matches, and none of those with `!` before them. */
export function matchesTagPatterns(tag: string, patterns: readonly string[]): boolean {
  const isExcepted = patterns.some((one) => one.startsWith('!') && matchesTagPattern(tag, one.slice(1)));
  return !isExcepted && patterns.some((one) => !one.startsWith('!') && matchesTagPattern(tag, one));
}

/**
 * The tags of signatures, attestations and SBOMs of older clients, which write them anew for each signature.
 * They are never immutable.
 */
const REFERRER_TAG = /^sha(?:256|512)-[0-9a-f]{64,128}/;

export function isImmutable(tag: string, patterns: readonly string[]): boolean {
  return !REFERRER_TAG.test(tag) && matchesTagPatterns(tag, patterns);
}
