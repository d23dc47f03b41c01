/**
 * A set whose members come and go all the time, such as the requests in flight. Each table of V8's own Set
 * and Map refers to the table that replaced it, even when nobody uses it any more. Once such a table is old,
 * all later ones, and the members that they had, stay in memory until the next full garbage collection. This
 * set uses the places of former members again.
 */
export class ChangingSet<T extends object> {
  readonly #places: (T | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#places.length - this.#free.length;
  }

  /** Adds a member that is not in the set, and returns its place. */
  add(member: T): number {
    const place = this.#free.pop() ?? this.#places.length;
    this.#places[place] = member;
    return place;
  }

  /** Removes the member that `add` put at this place, unless it is removed already. */
  remove(member: T, place: number): void {
    if (this.#places[place] !== member) return;
    this.#places[place] = undefined;
    this.#free.push(place);
  }

  *[Symbol.iterator](): Generator<T, void> {
    for (const member of this.#places) if (member !== undefined) yield member;
  }
}
