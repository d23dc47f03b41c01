import type { Page } from '../../registry/page.ts';

/** The tags of a repository from the first one on, as far as they are known. */
export interface KnownTags {
  readonly tags: readonly string[];
  /** True if there are no others. */
  readonly isWhole: boolean;
}

/** The tags of one page, and whether another one follows. */
export interface TagsPage extends KnownTags {
  /** The tag after which the page begins; undefined for the first page. */
  readonly last: string | undefined;
}

/**
 * Merges a page into the known list. It replaces the tags between its ends, and the known tags after it stay.
 * Returns undefined if the page does not join the list.
 */
export function mergePage(known: KnownTags | undefined, page: TagsPage): KnownTags | undefined {
  const before = known?.tags ?? [];
  const begin = page.last === undefined ? 0 : before.indexOf(page.last) + 1;
  if (page.last !== undefined && begin === 0) return undefined;
  const tags = [...before.slice(0, begin), ...page.tags];
  if (page.isWhole) return { tags, isWhole: true };
  const end = before.indexOf(page.tags.at(-1) ?? '');
  return end < begin
    ? { tags, isWhole: false }
    : { tags: [...tags, ...before.slice(end + 1)], isWhole: known?.isWhole === true };
}

/**
 * Returns one page of a list: at most `n` tags after `last`. `next` is the page after it, if there is one.
 */
export function pageOf(
  { tags, isWhole }: KnownTags,
  { n, last }: Page,
): { readonly tags: readonly string[]; readonly next?: Page } {
  const begin = last === undefined ? 0 : positionAfter(tags, last);
  const page = tags.slice(begin, n === undefined ? undefined : begin + n);
  const end = page.at(-1);
  const isEnd = isWhole && begin + page.length >= tags.length;
  return end === undefined || isEnd ? { tags: page } : { tags: page, next: { ...(n && { n }), last: end } };
}

/**
 * A registry sorts tags by its own rule. If `last` has disappeared, its position is found by the order of its
 * characters.
 */
function positionAfter(tags: readonly string[], last: string): number {
  const at = tags.indexOf(last);
  if (at >= 0) return at + 1;
  const after = tags.findIndex((tag) => tag > last);
  return after < 0 ? tags.length : after;
}
