/**
 * Returns by how many milliseconds our clock is ahead of another one, or behind it if negative. The other one
 * showed `other` at some time between the two times at which ours was read, so the smallest difference that
 * explains this is returned.
 */
export function clockAhead(before: number, other: number, after: number): number {
  return before > other ? before - other : Math.min(after - other, 0);
}
