/** Longer names are not compared. */
const MAX_LENGTH = 80;

/** Returns the name in `known` that differs from `text` by a typing mistake; undefined if none is near. */
export function nearest(text: string, known: Iterable<string>): string | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  let best: string | undefined;
  // A short name is similar to too many others.
  let most = text.length <= 3 ? 1 : text.length <= 5 ? 2 : 3;
  for (const name of known) {
    if (name === text || name.length > MAX_LENGTH || Math.abs(name.length - text.length) > most) continue;
    const found = distance(text, name);
    if (found > most || found >= Math.max(text.length, name.length) / 2) continue;
    best = name;
    most = found - 1;
  }
  return best;
}

/** Counts the letters to add, remove, replace or exchange with their neighbour (optimal string alignment). */
function distance(one: string, other: string): number {
  let before: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let row = 1; row <= one.length; row++) {
    const next = [row];
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[row - 1] === other[column - 1];
      const isSwapped =
        row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      next.push(
        Math.min(
          (last[column] ?? 0) + 1,
          (next[column - 1] ?? 0) + 1,
          (last[column - 1] ?? 0) + (isSame ? 0 : 1),
          isSwapped ? (before[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    before = last;
    last = next;
  }
  return last[other.length] ?? 0;
}

/** Returns `; did you mean …?`; empty if no name is near. */
export function didYouMean(text: string, known: Iterable<string>, write = (name: string) => name): string {
  const near = nearest(text, known);
  return near === undefined ? '' : `; did you mean "${write(near)}"?`;
}
