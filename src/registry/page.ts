import { parseTag } from './reference.ts';

/** Where a page of a list begins and how long it may be: the distribution spec's `n` and `last`. */
export interface Page {
  readonly n?: number;
  readonly last?: string;
}

/**
 * `n` is bounded, so that no answer is built to a caller's measure. `isEntry`: can a list hold this? Undefined where a
 * parameter is malformed.
 */
export function parsePage(
  query: URLSearchParams,
  isEntry = (text: string) => parseTag(text) !== undefined,
): Page | undefined {
  const n = query.get('n');
  const last = query.get('last');
  if (n !== null && !/^[0-9]{1,5}$/.test(n)) return undefined;
  if (last !== null && !isEntry(last)) return undefined;
  return { ...(n !== null && { n: Number(n) }), ...(last !== null && { last }) };
}

/** As a query, without its question mark; empty for the first page of the upstream's own length. */
export function writePage({ n, last }: Page): string {
  const query = new URLSearchParams();
  if (n !== undefined) query.set('n', String(n));
  if (last !== undefined) query.set('last', last);
  return query.toString();
}

/** The page after this one, from a registry's `Link: <…?n=100&last=x>; rel="next"`; of its URL nothing else is used. */
export function nextPage(link: string): Page | undefined {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/.exec(link)?.[1];
  const url = URL.parse(target ?? '', 'https://registry.invalid');
  const page = url === null ? undefined : parsePage(url.searchParams);
  return page?.last === undefined ? undefined : page;
}
