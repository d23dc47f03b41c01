/** Matches texts that YAML reads as a number, a truth value or null if they have no quotes. */
const NO_TEXT = /^(?:[\d.e+-]+|0[xo][\da-f]+|true|false|null|yes|no|on|off|y|n)$/i;

/** Writes a text as it stands in a YAML file. The strings of JSON are also strings of YAML. */
export function yamlText(text: string): string {
  return /^[a-z0-9/][a-z0-9/._-]*$/i.test(text) && !NO_TEXT.test(text) ? text : JSON.stringify(text);
}
