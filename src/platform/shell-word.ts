/** Writes a text as one word of a shell. Names of users may have `$` and `\`. */
export function shellWord(text: string): string {
  return /^[\w.@+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
