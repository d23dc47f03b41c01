/** The requested bytes of a representation. `end` is the offset after the last byte. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Parses a single range of bytes. One that ends before it begins is refused, as the conformance suite of the
 * distribution specification expects; everything else is ignored (RFC 9110 §14.2). Several ranges have
 * another parser, because podman would take one of several parts, sent as if it were the only one, for
 * corruption.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): ByteRange | 'unsatisfiable' | undefined {
  if (header === undefined) return undefined;
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header);
  const [, first = '', last = ''] = match ?? [];
  if (match === null || (first === '' && last === '')) return undefined;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size };
  }
  const start = Number(first);
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  if (last !== '' && Number(last) < start) return 'unsatisfiable';
  return start < size ? { start, end } : 'unsatisfiable';
}

/** Matches one range in a request. Whether it can be satisfied depends on the size. */
const ONE_RANGE = /^bytes=[0-9]{0,15}-[0-9]{0,15}$/;

export function isOneRange(header: string): boolean {
  return ONE_RANGE.test(header);
}

/**
 * This is more than podman and stargz-snapshotter need at a time, and few enough for their headers to be
 * harmless.
 */
const MOST_RANGES = 100;
/** The longest header in characters, derived from the number of ranges. */
const MOST_TEXT = MOST_RANGES * 34;

/**
 * Parses several ranges, in the order of the request. Returns undefined if the header has only one, or must
 * be ignored. RFC 9110 §14.2 lets a server ignore ranges that overlap and very many of them, because a small
 * request would then cost a large answer.
 */
export function parseRanges(
  header: string | undefined,
  size: number,
): readonly ByteRange[] | 'unsatisfiable' | undefined {
  if (header === undefined || header.length > MOST_TEXT || !header.startsWith('bytes=')) return undefined;
  const texts = header.slice('bytes='.length).split(',');
  if (texts.length < 2 || texts.length > MOST_RANGES) return undefined;
  const ranges: ByteRange[] = [];
  for (const text of texts) {
    const range = parseRange(`bytes=${text.trim()}`, size);
    if (range === undefined) return undefined;
    if (range !== 'unsatisfiable') ranges.push(range);
  }
  if (ranges.length === 0) return 'unsatisfiable';
  return areApart(ranges) ? ranges : undefined;
}

function areApart(ranges: readonly ByteRange[]): boolean {
  const sorted = ranges.toSorted((a, b) => a.start - b.start);
  return sorted.every(({ start }, at) => start >= (sorted[at - 1]?.end ?? 0));
}
