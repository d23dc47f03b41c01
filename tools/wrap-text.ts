/** Prose of generated pages has at most so many characters in a line. */
const LONGEST_LINE = 100;

/**
 * Breaks a paragraph into lines.
 * @param first what the first line begins with, such as `- `; the others are indented by as much
 */
export function wrapText(text: string, first = ''): string {
  const rest = ' '.repeat(first.length);
  const lines: string[] = [];
  let line = first;
  // A space in code is no place to break a line.
  for (const word of text.match(/(?:`[^`]*`|[^\s`])+/g) ?? []) {
    const isEmpty = line.trim() === first.trim();
    if (!isEmpty && [...line].length + 1 + [...word].length > LONGEST_LINE) {
      lines.push(line);
      line = rest + word;
    } else line += isEmpty ? word : ` ${word}`;
  }
  return [...lines, line].join('\n');
}
