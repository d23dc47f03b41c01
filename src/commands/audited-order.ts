/**
 * The most milliseconds by which a line can come after a later one: every gateway writes several lines at
 * once, and a little while after they were made.
 */
const LATEST = 10_000;

/** Puts entries in the order of their times. Only the entries of the last seconds are in memory. */
export async function* inOrderOfTime<Entry extends { readonly line: { readonly time: string } }>(
  entries: AsyncIterable<Entry>,
): AsyncGenerator<Entry> {
  const held: { readonly at: number; readonly entry: Entry }[] = [];
  for await (const entry of entries) {
    const at = Date.parse(entry.line.time);
    // Nearly all entries belong at the end.
    held.splice(held.findLastIndex((one) => one.at <= at) + 1, 0, { at, entry });
    const newest = held.at(-1)?.at ?? at;
    const due = held.findIndex((one) => one.at > newest - LATEST);
    for (const one of held.splice(0, due)) yield one.entry;
  }
  for (const { entry } of held) yield entry;
}
