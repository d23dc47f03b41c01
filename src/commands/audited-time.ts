/**
 * Parses `--since` and `--until`: a duration before now, a day, or a time. Days begin and end in UTC, as the
 * times of the audit log do.
 */
import { parseMoment } from '../access/policy-schema.ts';
import { duration } from '../config/values.ts';

/**
 * Returns the first millisecond since the epoch that counts, or undefined if `text` is not a time. A day
 * counts from its beginning.
 */
export function parseSince(text: string, now: number): number | undefined {
  return before(text, now) ?? parseMoment(text)?.begins;
}

/**
 * Returns the first millisecond since the epoch that no longer counts, or undefined if `text` is not a time.
 * A day counts to its end.
 */
export function parseUntil(text: string, now: number): number | undefined {
  return before(text, now) ?? parseMoment(text)?.ends;
}

export function whyNoTime(option: '--since' | '--until', text: string): string {
  return `${option} "${text}" is neither a duration such as 24h nor a time: write 2026-11-01 or 2026-11-01T18:00:00Z`;
}

function before(text: string, now: number): number | undefined {
  const length = duration().safeParse(text).data;
  return length === undefined ? undefined : now - length;
}
