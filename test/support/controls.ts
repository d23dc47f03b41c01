/** The characters that must not reach a terminal or a log unescaped, except line ends. */
export const UNPRINTABLE = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u;

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => String.fromCodePoint(from + at)).join('');

/**
 * C0 without NUL, which no argument of a process can contain; DEL and C1; the separators of lines; and the
 * characters that change their direction.
 */
export const ALL_CONTROLS = [
  range(0x01, 0x1f),
  range(0x7f, 0x9f),
  '\u061c\u200b\u200e\u200f\u2028\u2029\ufeff',
  range(0x202a, 0x202e),
  range(0x2066, 0x2069),
  '\u{e0001}',
].join('');
