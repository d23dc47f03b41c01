/** Texts that YAML reads as a number, a truth value or nothing if they have no quotes. */
const NO_TEXT = /^(?:[\d.e+-]+|0[xo][\da-f]+|true|false|null|yes|no|on|off|y|n)$/i;

/** A text as it is written in a YAML file. JSON's texts are YAML's too. */
export function yamlText(text: string): string {
  return /^[a-z0-9/][a-z0-9/._-]*$/i.test(text) && !NO_TEXT.test(text) ? text : JSON.stringify(text);
}
