import { parseTag } from './reference.ts';

/** The start of a page of a list and its greatest length: the distribution spec's `last` and `n`. */
export interface Page {
  readonly n?: number;
  readonly last?: string;
}

/** The longest page, in entries. */
const MAX_LENGTH = 99_999;

/**
 * Parses the parameters of a page. A longer page than any list has is shortened, so that a caller cannot
 * choose the size of an answer. `isEntry` tells whether a list can contain the text. Returns undefined if a
 * parameter is malformed.
 */
export function parsePage(
  query: URLSearchParams,
  isEntry = (text: string) => parseTag(text) !== undefined,
): Page | undefined {
  const n = query.get('n');
  const last = query.get('last');
  if (n !== null && !/^[0-9]{1,20}$/.test(n)) return undefined;
  if (last !== null && !isEntry(last)) return undefined;
  return { ...(n !== null && { n: Math.min(Number(n), MAX_LENGTH) }), ...(last !== null && { last }) };
}

/**
 * The longest query, in characters, that a registry may give for its next page. Some put a long token into
 * it.
 */
const MAX_QUERY = 2_048;

/**
 * Formats a page as a query without its question mark. It is empty for the first page of the upstream's own
 * length.
 */
export function formatPage({ n, last }: Page): string {
  const query = new URLSearchParams();
  if (n !== undefined) query.set('n', String(n));
  if (last !== undefined) query.set('last', last);
  return query.toString();
}

/**
 * Parses the page after this one from a registry's `Link: <…?n=100&last=x>; rel="next"`. No other part of the
 * URL is used.
 */
export function nextPage(link: string): Page | undefined {
  const url = URL.parse(targetOf(link, 'next') ?? '', 'https://registry.invalid');
  const page = url === null ? undefined : parsePage(url.searchParams);
  return page?.last === undefined ? undefined : page;
}

/**
 * Returns the query of the next page from such a header, with its question mark. No other part of the URL is
 * used.
 */
export function nextQuery(link: string): string | undefined {
  const { search = '' } = URL.parse(targetOf(link, 'next') ?? '', 'https://registry.invalid') ?? {};
  return search !== '' && search.length <= MAX_QUERY ? search : undefined;
}

/**
 * Returns the first target in a `Link` header with this relation (RFC 8288). Each character is read a fixed
 * number of times.
 */
function targetOf(link: string, relation: string): string | undefined {
  let begin = link.indexOf('<');
  while (begin >= 0) {
    const end = link.indexOf('>', begin);
    if (end < 0) return undefined;
    const next = link.indexOf('<', end);
    const parameters = link.slice(end + 1, next < 0 ? undefined : next).split(/[;,]/);
    if (parameters.some((parameter) => isRelation(parameter, relation))) return link.slice(begin + 1, end);
    begin = next;
  }
  return undefined;
}

function isRelation(parameter: string, relation: string): boolean {
  const [name = '', value = ''] = parameter.split('=', 2).map((part) => part.trim().toLowerCase());
  return name === 'rel' && (value === relation || value === `"${relation}"`);
}
