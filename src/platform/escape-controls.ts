/**
 * Text that others wrote, made safe to be printed. A terminal takes control characters for commands, and the characters of
 * Unicode's category Cf, the bidirectional ones among them, change how a line reads. All of them are written as JSON escapes,
 * so that a document of JSON stays the same document.
 */

/** Cc: C0, DEL and C1. Cf: what formats text. Zl, Zp: U+2028 and U+2029, which end a line to some readers. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const UNPRINTABLE_IN_LINES = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/gu;

const SHORT: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
};

/** One line: a line end within it is escaped too. */
export function escapeControls(text: string): string {
  return text.replace(UNPRINTABLE, escapeCharacter);
}

/** Several lines, whose ends stay. */
export function escapeControlsInLines(text: string): string {
  return text.replace(UNPRINTABLE_IN_LINES, escapeCharacter);
}

/** A character beyond U+FFFF is two escapes in JSON. */
function escapeCharacter(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  let escaped = '';
  for (let at = 0; at < character.length; at++)
    escaped += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`;
  return escaped;
}
