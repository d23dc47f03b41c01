/**
 * Makes text from other parties safe to print. A terminal takes control characters as commands, and the
 * characters of Unicode's category Cf, which include the bidirectional ones, change how a line reads. All of
 * them are written as JSON escapes, so that a JSON document stays the same document.
 */

/**
 * Cc: C0, DEL and C1. Cf: format characters. Zl, Zp: U+2028 and U+2029, which some readers take as line ends.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const UNPRINTABLE_IN_LINES = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/gu;

const SHORT: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
};

/** Escapes a text that must stay one line. Line ends are escaped too. */
export function escapeControls(text: string): string {
  return text.replace(UNPRINTABLE, escapeCharacter);
}

/** Escapes a text of several lines. Line ends stay. */
export function escapeControlsInLines(text: string): string {
  return text.replace(UNPRINTABLE_IN_LINES, escapeCharacter);
}

/** A character beyond U+FFFF becomes two escapes in JSON. */
function escapeCharacter(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  let escaped = '';
  for (let at = 0; at < character.length; at++)
    escaped += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`;
  return escaped;
}
