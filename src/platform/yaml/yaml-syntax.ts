/** Explains what is wrong with a text that the YAML parser cannot read, without using YAML's own terms. */

/** An error that the parser reports. */
interface SyntaxComplaint {
  readonly code: string;
  readonly message: string;
  readonly offset: number;
}

interface SyntaxMistake {
  readonly offset: number;
  readonly message: string;
}

/**
 * Describes the first mistake in `text`. Later errors mostly follow from the first one, so they are not
 * reported.
 *
 * The message repeats no part of a line that can contain a secret.
 */
export function firstMistake(text: string, complaints: readonly SyntaxComplaint[]): SyntaxMistake {
  const first = complaints.toSorted((one, other) => one.offset - other.offset)[0];
  const offset = first?.offset ?? 0;
  const complaint = first ?? { code: '', message: '', offset };
  for (const find of [conflictMarker, tabBefore, oddSpace, gluedDash, openQuote]) {
    const found = find(text, complaint);
    if (found !== undefined) return found;
  }
  return (
    explainBrackets(text, complaint) ?? explainIndentation(text, complaint) ?? explainRest(text, complaint)
  );
}

type Finder = (text: string, complaint: SyntaxComplaint) => SyntaxMistake | undefined;

const conflictMarker: Finder = (text) => {
  const marker = /^(?:<{7}|={7}|>{7}|\|{7})(?=[ \t\r\n]|$).*/m.exec(text);
  if (marker === null) return undefined;
  const line = marker[0].trimEnd().slice(0, 40);
  return {
    offset: marker.index,
    message: `"${line}" is left from a merge; keep the lines of one side, and remove those that begin with <<<<<<<, |||||||, ======= or >>>>>>>`,
  };
};

const tabBefore: Finder = (text, { code, offset }) => {
  const { begin, line } = lineAt(text, offset);
  const spaces = /^[ \t]*/.exec(line)?.[0] ?? '';
  const isTab = spaces.includes('\t');
  if (!isTab && code !== 'TAB_AS_INDENT') return undefined;
  const at = isTab ? begin + spaces.indexOf('\t') : offset;
  const rest = isTab ? line.trim() : text.slice(offset, begin + line.length).trim();
  const what = wordOf(text, begin, rest);
  const wanted = isTab ? columnOfNeighbour(text, begin) : undefined;
  const write = wanted === undefined ? 'write spaces' : `write ${wanted} space${wanted === 1 ? '' : 's'}`;
  return { offset: at, message: `a tab stands before ${what}; ${write} instead` };
};

const oddSpace: Finder = (text, { offset }) => {
  const { begin, line } = lineAt(text, offset);
  const odd = /^[ \t]*([\u00a0\u2000-\u200b\u202f\u3000\ufeff])/.exec(line);
  return odd === null
    ? undefined
    : {
        offset: begin + odd[0].length - 1,
        message: `a space of another kind (U+${(odd[1] ?? '').charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}) stands before ${wordOf(text, begin, line.slice(odd[0].length).trim())}; write a plain space instead`,
      };
};

const gluedDash: Finder = (text, { offset }) => {
  const { begin, line } = lineAt(text, offset);
  const dash = /^( *)-[[{"'\w]/.exec(line);
  return dash === null
    ? undefined
    : { offset: begin + (dash[1] ?? '').length, message: 'put a space after the "-" that begins this entry' };
};

/**
 * Finds a quote that is not closed on its line. It takes in text up to the next quote, and the parser reports
 * an error there.
 */
const openQuote: Finder = (text, { offset, message }) => {
  const open = scan(text, message.startsWith('Missing closing') ? text.length : offset).quote;
  if (open === undefined) return undefined;
  const quote = text[open] ?? '"';
  return {
    offset: open,
    message: `the text that begins with ${quote} here is not ended; put ${quote} behind it`,
  };
};

const CLOSING: Readonly<Record<string, string>> = { '{': '}', '[': ']' };

function explainBrackets(
  text: string,
  { code, message, offset }: SyntaxComplaint,
): SyntaxMistake | undefined {
  const character = text[offset] ?? '';
  const { open } = scan(text, offset);
  const glued = gluedBrace(text, offset);
  if (glued !== undefined) return glued;
  if (/-end token/.test(message) && '}]'.includes(character))
    return { offset, message: `"${character}" closes nothing here; remove it` };
  if (/Unexpected [}\]]/.test(message) && open !== undefined)
    return {
      offset: open,
      message: `"${text[open]}" is closed by "${character}"; close it with "${CLOSING[text[open] ?? ''] ?? ''}"`,
    };
  const isOpen = /must be (?:sufficiently indented and )?end|end with a|sufficiently indented/.test(message);
  if (isOpen && open !== undefined) {
    const closing = CLOSING[text[open] ?? ''] ?? '';
    return {
      offset: open,
      message: `"${text[open]}" is not closed; put "${closing}" at the end of what belongs to it`,
    };
  }
  if (/^Unexpected , in/.test(message)) return { offset, message: 'a comma too many stands here; remove it' };
  if (code === 'BLOCK_IN_FLOW' || /Missing , (?:or : )?between/.test(message))
    return missingComma(text, offset);
  return undefined;
}

/**
 * Finds a bracket in the middle of a text, as in `acme/${user}`, which YAML takes for the beginning of a map.
 */
function gluedBrace(text: string, offset: number): SyntaxMistake | undefined {
  const { begin, line } = lineAt(text, offset);
  for (let brace = line.indexOf('{'); brace >= 0; brace = line.indexOf('{', brace + 1)) {
    let from = brace;
    while (from > 0 && !/[\s,:[\]{}"']/.test(line[from - 1] ?? '')) from--;
    const end = /[\s:]|,$/.exec(line.slice(brace));
    const written = line.slice(from, end === null ? line.length : brace + end.index).replace(/,$/, '');
    if (from === brace || line.slice(from, brace) === '-' || begin + from > offset) continue;
    if (mayHoldSecret(text, begin)) return undefined;
    return { offset: begin + from, message: `a text that holds "{" needs quotes: "${written}"` };
  }
  return undefined;
}

/** Finds two texts or pairs with nothing between them. The second one is a key, or text after a quote. */
function missingComma(text: string, offset: number): SyntaxMistake {
  const { begin, line } = lineAt(text, offset);
  const rest = line.slice(offset - begin);
  const [before = ''] = rest.split(/: |:$/, 1);
  const key = before.slice(Math.max(before.lastIndexOf(' '), before.lastIndexOf('\t')) + 1);
  const isPair = /^[\w-]+$/.test(key) && key !== before && before.length < rest.length;
  if (isPair && !/[,{}[\]]/.test(before) && !mayHoldSecret(text, begin))
    return {
      offset: offset + before.length - key.length,
      message: `a comma is missing before "${key}:"; if "${key}:" is part of a text, quote the text`,
    };
  return /[,{}[\]"']/.test(before) || before.length === rest.length
    ? { offset, message: `a comma is missing before ${wordOf(text, begin, rest)}` }
    : { offset, message: 'a text that holds ": " needs quotes around it' };
}

function explainIndentation(
  text: string,
  { code, message, offset }: SyntaxComplaint,
): SyntaxMistake | undefined {
  const { begin, line } = lineAt(text, offset);
  const isImplicit = /[Ii]mplicit (?:map )?keys? |implicit map key/.test(message);
  if (code !== 'BAD_INDENT' && !/same column|indicator|token/.test(message) && !isImplicit) return undefined;
  const own = line.length - line.trimStart().length;
  if (/^[A-Za-z][\w.-]*$/.test(line.trim()) && isImplicit)
    return {
      offset: begin + own,
      message: `a colon is missing; write ${wordOf(text, begin, `${line.trim()}:`)}`,
    };
  const wanted = columnOfNeighbour(text, begin);
  if (wanted === undefined || wanted === own) return undefined;
  return {
    offset: begin + own,
    message: `${wordOf(text, begin, line.trim())} begins in column ${own + 1}, and what stands above it in column ${wanted + 1}; begin both in the same column`,
  };
}

function explainRest(text: string, { message, offset }: SyntaxComplaint): SyntaxMistake {
  const { begin, line } = lineAt(text, offset);
  const [, reserved] = /(?:reserved|indicator) character ([@`%])/.exec(message) ?? [];
  if (reserved !== undefined)
    return { offset, message: `"${reserved}" cannot begin a plain text in YAML; quote it` };
  if (text[offset] === '*') return { offset, message: 'a text that begins with * needs quotes, such as "*"' };
  if (/multiple documents/i.test(message))
    return { offset, message: 'a second document begins here; the file must hold one' };
  if (/escape/.test(message))
    return { offset, message: '"\\" begins an escape in double quotes; write "\\\\", or use single quotes' };
  const own = line.length - line.trimStart().length;
  if (/^[{[]/.test(line.trimStart()) && offset <= begin + own && isBelowEntries(text, begin))
    return { offset: begin + own, message: `"- " is missing before ${wordOf(text, begin, line.trim())}` };
  const colonless = colonlessAbove(text, begin);
  if (colonless !== undefined) return colonless;
  const rest = wordOf(text, begin, line.slice(offset - begin).trim() || line.trim());
  return { offset, message: `${rest} cannot stand here; compare it with the lines above and below` };
}

/**
 * Finds `groups` alone, or `version:1`, which the parser reads as a text, so that the next line is an error.
 */
function colonlessAbove(text: string, begin: number): SyntaxMistake | undefined {
  let at = begin;
  for (let lines = 0; lines < 3; lines++) {
    const { line } = lineAt(text, at);
    const [, indentation = '', key, value = ''] =
      /^([ \t]*)([A-Za-z][\w-]*)(?:$|:(\S.*)$| = ?.*$)/.exec(line.trimEnd()) ?? [];
    if (key !== undefined && !mayHoldSecret(text, at)) {
      const write = value === '' ? `"${key}:"` : `"${key}: ${value}"`;
      return {
        offset: at + indentation.length,
        message: `"${line.trim().slice(0, 40)}" is no key with a value; write ${write}`,
      };
    }
    if (at === 0) return undefined;
    at = lineAt(text, at - 1).begin;
  }
  return undefined;
}

/**
 * Returns the column, from 0, of the nearest line above that is of the same kind: an entry of a list, or a
 * key.
 */
function columnOfNeighbour(text: string, begin: number): number | undefined {
  const { line } = lineAt(text, begin);
  const isEntry = line.trimStart().startsWith('-');
  for (let at = begin; at > 0; ) {
    at = lineAt(text, at - 1).begin;
    const above = lineAt(text, at).line;
    const content = above.trimStart();
    if (content === '' || content.startsWith('#')) continue;
    const column = above.length - content.length;
    if (content.startsWith('-') === isEntry) {
      // A key without a value begins a section, whose lines are indented further.
      return !isEntry && /^[^\s#]+:\s*(?:#.*)?$/.test(content) ? column + 2 : column;
    }
    return isEntry ? column + 2 : undefined;
  }
  return undefined;
}

function isBelowEntries(text: string, begin: number): boolean {
  return (
    begin > 0 &&
    lineAt(text, begin - 1)
      .line.trimStart()
      .startsWith('- ')
  );
}

interface Scanned {
  /** The position of the innermost open bracket. */
  readonly open?: number;
  /** The position of a quote that was not closed on its line. */
  readonly quote?: number;
}

/** Returns what is open at `end`. This scanner knows only quotes, comments and brackets. */
function scan(text: string, end: number): Scanned {
  const brackets: number[] = [];
  for (let at = 0; at < end; at++) {
    const passed = passedFrom(text, at);
    if (passed === undefined) return { quote: at };
    if (passed === at) noteBracket(text, at, brackets);
    at = passed;
  }
  const open = brackets.at(-1);
  return open === undefined ? {} : { open };
}

function beginsToken(text: string, at: number): boolean {
  return at === 0 || /[\s,:[{(-]/.test(text[at - 1] ?? '');
}

/**
 * Returns the end of the comment or quoted text that begins at `at`, or `at` itself; undefined if the quote
 * is not closed on its line.
 */
function passedFrom(text: string, at: number): number | undefined {
  const character = text[at] ?? '';
  if (!`#"'`.includes(character) || !beginsToken(text, at)) return at;
  return character === '#' ? lineEnd(text, at) : closingQuote(text, at);
}

function noteBracket(text: string, at: number, brackets: number[]): void {
  const character = text[at] ?? '';
  if (character === '}' || character === ']') brackets.pop();
  else if (character in CLOSING && (brackets.length > 0 || beginsToken(text, at))) brackets.push(at);
}

function lineEnd(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end < 0 ? text.length : end;
}

function closingQuote(text: string, at: number): number | undefined {
  const quote = text[at];
  for (let index = at + 1; index < text.length && text[index] !== '\n'; index++) {
    const isEscape =
      quote === '"' ? text[index] === '\\' : text[index] === quote && text[index + 1] === quote;
    if (isEscape) index++;
    else if (text[index] === quote) return index;
  }
  return undefined;
}

function lineAt(text: string, offset: number): { readonly begin: number; readonly line: string } {
  const begin = offset === 0 ? 0 : text.lastIndexOf('\n', offset - 1) + 1;
  const end = text.indexOf('\n', begin);
  return { begin, line: text.slice(begin, end < 0 ? text.length : end).replace(/\r$/, '') };
}

/** Quotes the beginning of a text, or returns a general word if the text may be a secret. */
function wordOf(text: string, begin: number, written: string): string {
  if (written === '' || mayHoldSecret(text, begin)) return 'this';
  return `"${written.length > 32 ? `${written.slice(0, 30)}…` : written}"`;
}

/** True if the text belongs to a key with a secret, in its own line or in the line above. */
function mayHoldSecret(text: string, begin: number): boolean {
  const above = begin === 0 ? '' : lineAt(text, begin - 1).line;
  return /pass|secret|token|hash/i.test(`${above}\n${lineAt(text, begin).line}`);
}
