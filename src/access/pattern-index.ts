/**
 * Finds those of many patterns that a name may match without a look at the others: by what a name begins with, by the
 * caller's own name where that comes next, and by what it ends with. What it costs grows with how many different lengths
 * these have, which the length of a name bounds, and not with how many patterns there are.
 */
import type { Pattern } from './pattern.ts';

interface Beginning<Alike> {
  readonly literal: string;
  readonly endings: Affixes<Alike>;
  /** Where `${user}` comes next: by what comes after that. */
  readonly own: Affixes<Affixes<Alike>>;
}

/** What belongs to patterns that begin alike and end alike is kept together, as `Alike`. */
export class PatternIndex<Alike> {
  readonly #beginnings = new Affixes<Beginning<Alike>>('beginning');
  readonly #make: () => Alike;

  constructor(make: () => Alike) {
    this.#make = make;
  }

  /** Where what belongs to this pattern is to be kept. */
  at({ literal, afterUser, ending }: Pattern): Alike {
    const { endings, own } = this.#beginnings.at(literal, () => ({
      literal,
      endings: new Affixes('ending'),
      own: new Affixes('beginning'),
    }));
    const among = afterUser === undefined ? endings : own.at(afterUser, () => new Affixes('ending'));
    return among.at(ending, this.#make);
  }

  /** All that patterns belong to that match, and some whose patterns do not; `user` as for `matchesPattern`. */
  find(name: string, user: string | undefined): readonly Alike[] {
    const found: Alike[] = [];
    for (const { literal, endings, own } of this.#beginnings.ofBeginning(name, 0)) {
      endings.addOfEnding(name, found);
      if (user === undefined || own.isEmpty || !name.startsWith(user, literal.length)) continue;
      for (const among of own.ofBeginning(name, literal.length + user.length)) among.addOfEnding(name, found);
    }
    return found;
  }
}

interface Affix<Value> {
  readonly text: string;
  readonly value: Value;
  /** Another one with the same hash. */
  readonly next: Affix<Value> | undefined;
}

/**
 * Values by a text that a name may begin or end with. For all lengths together a name is hashed once, as a `Map` of texts
 * would do for each anew.
 */
class Affixes<Value> {
  readonly #byHash = new Map<number, Affix<Value>>();
  readonly #fromEnd: boolean;
  /** Of the texts, the shortest first. */
  #lengths: readonly number[] = [];

  constructor(where: 'beginning' | 'ending') {
    this.#fromEnd = where === 'ending';
  }

  get isEmpty(): boolean {
    return this.#lengths.length === 0;
  }

  at(text: string, make: () => Value): Value {
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

  /** What `name` begins with from there on. */
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
