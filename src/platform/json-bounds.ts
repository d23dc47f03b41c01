/** The bounds on the structure of a JSON document from outside. */
export interface JsonBounds {
  /** The depth of nested arrays and objects. */
  readonly depth: number;
  /**
   * The number of objects, arrays and members of objects. Each takes a parser some ten times as long as a
   * plain element.
   */
  readonly nodes: number;
  /** The number of elements of arrays and members of objects. */
  readonly elements: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** The kind of each byte outside a string; 0 if it counts as nothing. */
const COUNTS_AS = new Uint8Array(256);
const ELEMENT = 1;
const CLOSING = 2;
const STRING = 3;
const MEMBER = 4;
const OPENING = 5;
for (const [characters, kind] of [
  [',', ELEMENT],
  [']}', CLOSING],
  ['"', STRING],
  [':', MEMBER],
  ['[{', OPENING],
] as const)
  for (const byte of Buffer.from(characters)) COUNTS_AS[byte] = kind;

/**
 * Returns the bound that the document exceeds; undefined if it exceeds none. This function reads each byte
 * once and needs no valid JSON, so that it can judge a document before a parser spends time or stack on it.
 * Brackets inside strings do not count.
 */
export function exceededBound(json: Uint8Array, bounds: JsonBounds): keyof JsonBounds | undefined {
  const left = { ...bounds };
  for (let at = 0; at < json.length; at++) {
    const kind = kindOf(json, at);
    if (kind === STRING) at = endOfString(json, at + 1);
    else if (kind === CLOSING) left.depth++;
    else if (kind === ELEMENT && left.elements-- === 0) return 'elements';
    else if (kind === OPENING && left.depth-- === 0) return 'depth';
    else if (kind >= MEMBER && left.nodes-- === 0) return 'nodes';
  }
  return undefined;
}

function kindOf(json: Uint8Array, at: number): number {
  return COUNTS_AS[json[at] ?? 0] ?? 0;
}

/** Returns the position of the closing quote, or the end of the document if there is none. */
function endOfString(json: Uint8Array, start: number): number {
  let at = start;
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at;
}
