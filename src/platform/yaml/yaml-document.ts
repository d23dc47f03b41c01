import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  Lexer,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  visit,
  type YAMLMap,
} from 'yaml';
import type { Fault } from '../fault.ts';
import { firstMistake } from './yaml-syntax.ts';

/** A hand-written YAML file: its plain data, and the place of each part in the text. */
export interface YamlDocument {
  readonly data: unknown;
  /** Makes a fault at `path`, or at the nearest ancestor that the text contains. */
  faultAt(path: readonly PropertyKey[], message: string, at?: 'key' | 'value'): Fault;
  /** Returns a scalar as it is written, which can be more than its value: `1.20` is a number. */
  textAt(path: readonly PropertyKey[]): string | undefined;
}

export interface WritableYaml extends YamlDocument {
  /** The document itself, for a writer that preserves comments and order. */
  readonly document: Document;
}

export type YamlRead = { readonly yaml: WritableYaml } | { readonly faults: readonly Fault[] };

const MIB = 1024 * 1024;
const MAX_DEPTH = 32;
const MAX_INDENTATION = 4 * MAX_DEPTH;
/** Dashes, question marks and colons open a level each, too. */
const INDENTATION = /^(?:[ \t]|[-?:](?=[ \t]))*/;
/**
 * The characters that no text may contain: control characters, and the one that decoders put in place of
 * bytes that are not UTF-8.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffd]/;

/**
 * Reads one YAML 1.2 document strictly: duplicate keys, anchors, aliases, tags, a second document and every
 * warning of the parser are faults. `source` is the name of the file in faults.
 */
export function parseYaml(source: string, text: string, mostMiB = 1): YamlRead {
  const unfit = unfitForParser(text, mostMiB);
  if (unfit !== undefined) return { faults: [{ source, ...unfit }] };
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    lineCounter: lines,
    prettyErrors: false,
    // The parser compares each key with all others of its map; `repeatedKeys` does not.
    uniqueKeys: false,
  });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { source, line, column: col };
  };
  const complaints = [...document.errors, ...document.warnings].filter(
    ({ code }) => code !== 'TAG_RESOLVE_FAILED',
  );
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${line}:${col}`;
  };
  const refused = refusedNodes(document, place);
  const [firstRefused] = refused;
  if (complaints.length > 0) {
    const { offset, message } = firstMistake(
      text,
      complaints.map(({ code, message, pos }) => ({ code, message, offset: pos[0] })),
    );
    // An accidental alias or key is often the reason for which the parser could not continue.
    const isEarlier = firstRefused !== undefined && firstRefused.offset < offset;
    const mistake = isEarlier ? firstRefused : { offset, message };
    return { faults: [{ ...at(mistake.offset), message: mistake.message }] };
  }
  if (refused.length > 0)
    return { faults: refused.map(({ offset, message }) => ({ ...at(offset), message })) };
  const faultAt: YamlDocument['faultAt'] = (path, message, part = 'value') => ({
    ...at(offsetOf(document, path, part)),
    message,
  });
  const textAt: YamlDocument['textAt'] = (path) => {
    const node = document.getIn(path, true);
    return isScalar(node) ? node.source : undefined;
  };
  return { yaml: { data: document.toJS(), document, faultAt, textAt } };
}

/**
 * Finds what must not reach the parser. yaml 2.9.1 aborts the whole process on some deeply nested texts of 1
 * KB (a regular expression is compiled while the stack is nearly full, and V8 gives up), so the depth is
 * checked first. The lexer distinguishes a bracket from one in a text or a comment, and does not recurse. A
 * level of block style takes at least one column of indentation.
 */
function unfitForParser(text: string, mostMiB: number): Omit<Fault, 'source'> | undefined {
  if (Buffer.byteLength(text) > mostMiB * MIB) return { message: `the file is larger than ${mostMiB} MiB` };
  const control = CONTROL.exec(text);
  if (control !== null) {
    const message = 'a control character stands here, or bytes that are no UTF-8: the file is damaged';
    return { line: lineAt(text, control.index), message };
  }
  const lines = text.split('\n');
  const indented = lines.findIndex((line) => (INDENTATION.exec(line)?.[0].length ?? 0) > MAX_INDENTATION);
  const line = indented < 0 ? tooDeepBracket(text) : indented + 1;
  return line === undefined
    ? undefined
    : { line, column: 1, message: `nested deeper than ${MAX_DEPTH} levels` };
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

/** The token that the lexer puts before the text of a plain, quoted or block scalar. */
const SCALAR = '\u001f';

/** Returns the line of the first bracket that exceeds the depth. */
function tooDeepBracket(text: string): number | undefined {
  let depth = 0;
  let offset = 0;
  let previous = '';
  for (const token of new Lexer().lex(text)) {
    const isBracket = previous !== SCALAR && token.length === 1;
    if (isBracket && (token === '[' || token === '{')) depth++;
    if (isBracket && (token === ']' || token === '}')) depth = Math.max(0, depth - 1);
    if (depth > MAX_DEPTH) return lineAt(text, offset);
    // Control characters are the lexer's own marks, and are not in the text.
    if (!CONTROL.test(token)) offset += token.length;
    previous = token;
  }
  return undefined;
}

/**
 * Finds aliases, anchors and tags. They make a file mean something else than it shows, and none is needed
 * here.
 */
function refusedNodes(
  document: Document,
  place: (offset: number) => string,
): { offset: number; message: string }[] {
  const refused: { offset: number; message: string }[] = [];
  visit(document, (_key, node) => {
    if (isPair(node)) {
      const message = refusedKey(node.key);
      if (message !== undefined) refused.push({ offset: offsetIn(node.key), message });
    }
    if (!isNode(node)) return;
    if (isMap(node)) refused.push(...refusedRepetitions(node, place));
    const message = refusedNode(node);
    if (message !== undefined) refused.push({ offset: offsetIn(node), message });
  });
  return refused;
}

function refusedNode(node: Node): string | undefined {
  if (isAlias(node)) return `"*${node.source}" reads as a YAML alias; quote patterns that begin with *`;
  if (!isScalar(node) && !isCollection(node)) return undefined;
  if (node.anchor !== undefined) return `"&${node.anchor}" reads as a YAML anchor; quote it, or write it out`;
  if (node.tag !== undefined) return `"${node.tag}" reads as a YAML tag; quote what begins with !`;
  return undefined;
}

function refusedRepetitions(
  map: YAMLMap,
  place: (offset: number) => string,
): { offset: number; message: string }[] {
  return repeatedKeys(map).map(({ key, first }) => ({
    offset: offsetIn(key),
    message: `this key stands here twice, first at ${place(offsetIn(first))}${nameOfKey(key)}; rename one, or write what both hold under one`,
  }));
}

function repeatedKeys({ items }: YAMLMap): { readonly key: Scalar; readonly first: Scalar }[] {
  const seen = new Map<unknown, Scalar>();
  return items.flatMap(({ key }) => {
    if (!isScalar(key)) return [];
    const first = seen.get(key.value);
    if (first === undefined) seen.set(key.value, key);
    return first === undefined ? [] : [{ key, first }];
  });
}

/** Text that does not look like a key may be part of a secret. */
function nameOfKey({ value }: Scalar): string {
  return typeof value === 'string' && /^[\w.@-]{1,40}$/.test(value) ? `: "${value}"` : '';
}

function offsetIn(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0;
}

/** Explains a key that was not meant as one. The message repeats only the text before the colon. */
function refusedKey(key: unknown): string | undefined {
  if (isCollection(key)) return 'a list or a map cannot be a key; keys are plain words';
  // Digits after the colon are the port of a host.
  const glued = isScalar(key) && /^([\w-]+):(?!\d+$)["'[{$*\w]/.exec(String(key.value))?.[1];
  return glued ? `"${glued}:" and what follows it read as one key; put a space after the colon` : undefined;
}

function offsetOf(document: Document, path: readonly PropertyKey[], part: 'key' | 'value'): number {
  const whole = document.contents?.range?.[0] ?? 0;
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    const key = keyOffset(document, path.slice(0, length));
    if (part === 'key' && length === path.length && key !== undefined) return key;
    if (isNode(node) && node.range)
      return isScalar(node) && node.value === null ? (key ?? node.range[0]) : node.range[0];
    if (key !== undefined) return key;
  }
  return whole;
}

function keyOffset(document: Document, path: readonly PropertyKey[]): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(parent)) return undefined;
  const wanted = String(path.at(-1));
  const pair = parent.items.find(
    (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === wanted,
  );
  return isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
}
