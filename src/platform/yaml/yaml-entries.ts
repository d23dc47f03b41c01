/**
 * Splits a long YAML file into its entries without parsing them, so that only new entries need be parsed. It
 * knows where an entry begins, and nothing of its content. If the layout of a file is unusual, it returns
 * nothing at all.
 */

/**
 * An entry of a list or a map under a key of the file, as it is written, including the text between it and
 * the next entry.
 */
export interface WrittenEntry {
  readonly text: string;
  /** The line of its beginning, counted from 1. */
  readonly line: number;
}

export interface WrittenEntries {
  readonly key: string;
  readonly kind: LineKind;
  readonly entries: readonly WrittenEntry[];
}

export interface SplitEntries {
  /** The file without the entries: their keys have no value here. */
  readonly frame: string;
  readonly parts: readonly WrittenEntries[];
}

type LineKind = 'list' | 'map';

/** The beginnings of entries. A key is on one line, and is not one that needs a `?`. */
const BEGINNINGS: Readonly<Record<LineKind, RegExp>> = {
  list: /-(?=[ \t\r\n]|$)/y,
  map: /(?:[A-Za-z0-9][\w.@-]*|"[^"\\\n]*"|'[^'\n]*'):(?=[ \t\r\n]|$)/y,
};
const KEY = /[A-Za-z][\w-]*:(?=[ \t\r\n]|$)/y;
/** Matches the rest of a line without content, except perhaps a comment. */
const NOTHING = /[ \t]*(?:[ \t]#.*)?\r?(?:\n|$)/y;
const EMPTY = / *(?:#|\r?(?:\n|$))/y;
/** Matches the beginning of a document, and the end of the last one. */
const MARK = /---[ \t]*\r?(?:\n|$)|\.\.\.\s*$/y;

/**
 * Splits the entries. Returns undefined if the lines of the file do not certainly show where its entries
 * begin.
 *
 * In a block collection, a line at the column of its first entry begins the next entry, or ends the
 * collection: YAML requires that the content of an entry is further to the right, even in a text of several
 * lines or an open bracket. Where a text violates this, the entry is invalid when it is parsed alone.
 */
export function splitEntries(text: string): SplitEntries | undefined {
  return new EntrySplitter(text).split();
}

interface OpenEntries {
  readonly key: string;
  readonly kind: LineKind;
  /** The column of the first character of each entry. */
  readonly column: number;
  readonly entries: WrittenEntry[];
}

class EntrySplitter {
  readonly #text: string;
  readonly #frame: string[] = [];
  readonly #parts: OpenEntries[] = [];
  /** The beginning of the current part, and its line if it is an entry. */
  #from = 0;
  #line: number | undefined;
  /** The key under which entries may follow. */
  #key: string | undefined;
  #open: OpenEntries | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  split(): SplitEntries | undefined {
    const text = this.#text;
    for (let start = 0, line = 1; start < text.length; line++) {
      if (!this.#take(start, line)) return undefined;
      const end = text.indexOf('\n', start);
      start = end < 0 ? text.length : end + 1;
    }
    this.#close(text.length);
    return { frame: this.#frame.join(''), parts: this.#parts };
  }

  /** Returns false if it is unclear what the line is. */
  #take(start: number, line: number): boolean {
    // An empty line belongs to what comes before it.
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

  /** Begins a collection under the key. A list may be under its key without indentation. */
  #openAt(start: number, column: number): OpenEntries | undefined {
    if (this.#key === undefined) return undefined;
    const kind = this.#is(BEGINNINGS.list, start + column) ? 'list' : 'map';
    return kind === 'map' && column === 0 ? undefined : { key: this.#key, kind, column, entries: [] };
  }

  /** Handles a key of the file, or the file's beginning or end. */
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
