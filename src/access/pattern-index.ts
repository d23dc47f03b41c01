/**
 * Finds the patterns that a name may match, without a look at the others. They are found by the beginning of
 * the name, by the caller's own name if it comes next, and by the end of the name. The cost grows with the
 * number of different lengths of these texts, which the length of a name limits, and not with the number of
 * patterns.
 */
import type { Pattern } from './pattern.ts';

interface PatternPrefix<Value> {
  readonly literal: string;
  readonly endings: Affixes<Value>;
  /** The patterns in which `${user}` comes next, by the text after it. */
  readonly afterUser: Affixes<Affixes<Value>>;
}

/** An index with one value for all patterns that share a literal beginning and ending. */
export class PatternIndex<Value> {
  readonly #beginnings = new Affixes<PatternPrefix<Value>>('beginning');
  readonly #make: () => Value;

  constructor(make: () => Value) {
    this.#make = make;
  }

  /** Returns the value for this pattern. */
  getOrMake({ literal, afterUser: text, ending }: Pattern): Value {
    const { endings, afterUser } = this.#beginnings.getOrMake(literal, () => ({
      literal,
      endings: new Affixes('ending'),
      afterUser: new Affixes('beginning'),
    }));
    const among = text === undefined ? endings : afterUser.getOrMake(text, () => new Affixes('ending'));
    return among.getOrMake(ending, this.#make);
  }

  /**
   * Returns the values of all patterns that match, and of some that do not. `user` is as for
   * `matchesPattern`.
   */
  find(name: string, user: string | undefined): readonly Value[] {
    const found: Value[] = [];
    for (const { literal, endings, afterUser } of this.#beginnings.ofBeginning(name, 0)) {
      endings.addOfEnding(name, found);
      if (user === undefined || afterUser.isEmpty || !name.startsWith(user, literal.length)) continue;
      for (const among of afterUser.ofBeginning(name, literal.length + user.length))
        among.addOfEnding(name, found);
    }
    return found;
  }
}

interface Affix<Value> {
  readonly text: string;
  readonly value: Value;
  /** The next affix with the same hash. */
  readonly next: Affix<Value> | undefined;
}

/**
 * Values by a text that a name may begin or end with. A name is hashed once for all lengths together; with a
 * `Map` of texts, it would be hashed again for each length.
 */
class Affixes<Value> {
  readonly #byHash = new Map<number, Affix<Value>>();
  readonly #fromEnd: boolean;
  /** The lengths of the texts, the shortest first. */
  #lengths: readonly number[] = [];

  constructor(where: 'beginning' | 'ending') {
    this.#fromEnd = where === 'ending';
  }

  get isEmpty(): boolean {
    return this.#lengths.length === 0;
  }

  getOrMake(text: string, make: () => Value): Value {
    const hash = this.#fromEnd ? hashBack(0, text, text.length, 0) : hashOn(0, text, 0, text.length);
    const next = this.#byHash.get(hash);
    for (let known = next; known !== undefined; known = known.next)
      if (known.text === text) return known.value;
    const value = make();
    this.#byHash.set(hash, { text, value, next });
    if (!this.#lengths.includes(text.length))
      this.#lengths = [...this.#lengths, text.length].sort((a, b) => a - b);
    return value;
  }

  /** Returns the values of the texts with which `name` continues at `from`. */
  ofBeginning(name: string, from: number): readonly Value[] {
    const found: Value[] = [];
    let hash = 0;
    let end = from;
    for (const length of this.#lengths) {
      if (from + length > name.length) break;
      hash = hashOn(hash, name, end, from + length);
      end = from + length;
      for (let affix = this.#byHash.get(hash); affix !== undefined; affix = affix.next)
        if (affix.text.length === length && name.startsWith(affix.text, from)) found.push(affix.value);
    }
    return found;
  }

  addOfEnding(name: string, found: Value[]): void {
    let hash = 0;
    let begin = name.length;
    for (const length of this.#lengths) {
      if (length > name.length) break;
      hash = hashBack(hash, name, begin, name.length - length);
      begin = name.length - length;
      for (let affix = this.#byHash.get(hash); affix !== undefined; affix = affix.next)
        if (affix.text.length === length && name.endsWith(affix.text)) found.push(affix.value);
    }
  }
}

function hashOn(hash: number, text: string, from: number, to: number): number {
  let next = hash;
  for (let at = from; at < to; at++) next = (Math.imul(next, 31) + text.charCodeAt(at)) | 0;
  return next;
}

function hashBack(hash: number, text: string, from: number, to: number): number {
  let next = hash;
  for (let at = from - 1; at >= to; at--) next = (Math.imul(next, 31) + text.charCodeAt(at)) | 0;
  return next;
}
