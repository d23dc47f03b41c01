/**
 * Tells the entries of a long YAML file apart without reading them, so that only those need be read that are new. It knows
 * where an entry begins, and nothing of what is in it; of a file that is laid out in any other way than most are it says
 * nothing at all.
 */

/** An entry of a list or a map under a key of the file, as it is written; what stands between it and the next one included. */
export interface WrittenEntry {
  readonly text: string;
  /** Of its beginning, counted from 1. */
  readonly line: number;
}

export interface WrittenEntries {
  readonly key: string;
  readonly kind: Kind;
  readonly entries: readonly WrittenEntry[];
}

export interface ToldApart {
  /** The file without them: their keys have no value here. */
  readonly frame: string;
  readonly parts: readonly WrittenEntries[];
}

type Kind = 'list' | 'map';

/** How an entry begins. A key stands on one line, and is none of those that need a `?`. */
const BEGINNINGS: Readonly<Record<Kind, RegExp>> = {
  list: /-(?=[ \t\r\n]|$)/y,
  map: /(?:[A-Za-z0-9][\w.@-]*|"[^"\\\n]*"|'[^'\n]*'):(?=[ \t\r\n]|$)/y,
};
const KEY = /[A-Za-z][\w-]*:(?=[ \t\r\n]|$)/y;
/** Nothing but, perhaps, a comment. */
const NOTHING = /[ \t]*(?:[ \t]#.*)?\r?(?:\n|$)/y;
const EMPTY = / *(?:#|\r?(?:\n|$))/y;
/** What begins a document, and what ends the last one. */
const MARK = /---[ \t]*\r?(?:\n|$)|\.\.\.\s*$/y;

/**
 * Undefined where the lines of the file do not say for sure where its entries begin.
 *
 * Within a block collection, a line at the very column of its first entry begins the next one, or ends the collection: YAML
 * wants what belongs to an entry further to the right, be it a text of several lines or a bracket that is still open.
 * Where it does not keep to that, the entry is none when it is read alone.
 */
export function tellApart(text: string): ToldApart | undefined {
  return new Teller(text).tell();
}

interface OpenEntries {
  readonly key: string;
  readonly kind: Kind;
  /** Of the first character of each. */
  readonly column: number;
  readonly entries: WrittenEntry[];
}

class Teller {
  readonly #text: string;
  readonly #frame: string[] = [];
  readonly #parts: OpenEntries[] = [];
  /** Where what is being collected begins, and the line of that if it is an entry. */
  #from = 0;
  #line: number | undefined;
  /** What entries may come under. */
  #key: string | undefined;
  #open: OpenEntries | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  tell(): ToldApart | undefined {
    const text = this.#text;
    for (let start = 0, line = 1; start < text.length; line++) {
      if (!this.#take(start, line)) return undefined;
      const end = text.indexOf('\n', start);
      start = end < 0 ? text.length : end + 1;
    }
    this.#close(text.length);
    return { frame: this.#frame.join(''), parts: this.#parts };
  }

  /** False where it cannot be told what the line is. */
  #take(start: number, line: number): boolean {
    // It belongs to what comes before it.
    if (this.#is(EMPTY, start)) return true;
    const column = this.#columnAt(start);
    if (this.#open !== undefined && column > this.#open.column) return true;
    if (this.#beginsEntry(start, column)) {
      this.#begin(start, line);
      return true;
    }
    if (column > 0) return this.#open === undefined && this.#key === undefined;
    return this.#takeKey(start);
  }

  #beginsEntry(start: number, column: number): boolean {
    const open = this.#open ?? this.#openAt(start, column);
    if (open === undefined || column !== open.column || !this.#is(BEGINNINGS[open.kind], start + column))
      return false;
    if (this.#open === undefined) this.#parts.push(open);
    this.#open = open;
    return true;
  }

  /** A list may stand under its key without being indented. */
  #openAt(start: number, column: number): OpenEntries | undefined {
    if (this.#key === undefined) return undefined;
    const kind = this.#is(BEGINNINGS.list, start + column) ? 'list' : 'map';
    return kind === 'map' && column === 0 ? undefined : { key: this.#key, kind, column, entries: [] };
  }

  /** A key of the file, or its beginning or end. */
  #takeKey(start: number): boolean {
    const isKey = this.#is(KEY, start);
    const end = KEY.lastIndex;
    if (!isKey && !this.#is(MARK, start)) return false;
    if (this.#open !== undefined) this.#begin(start, undefined);
    this.#open = undefined;
    this.#key = isKey && this.#is(NOTHING, end) ? this.#text.slice(start, end - 1) : undefined;
    return true;
  }

  #begin(start: number, line: number | undefined): void {
    this.#close(start);
    this.#from = start;
    this.#line = line;
  }

  #close(end: number): void {
    const written = this.#text.slice(this.#from, end);
    if (this.#line === undefined) this.#frame.push(written);
    else this.#parts.at(-1)?.entries.push({ text: written, line: this.#line });
  }

  #is(what: RegExp, at: number): boolean {
    what.lastIndex = at;
    return what.test(this.#text);
  }

  #columnAt(start: number): number {
    let end = start;
    while (this.#text[end] === ' ') end++;
    return end - start;
  }
}
