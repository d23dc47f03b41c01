/** Amounts in a sliding window of time, as people write them: `40/6h`, `50GiB/24h`. */

import { SIZE_UNITS } from './size-units.ts';

/** An amount: at most `max` in any `windowMs` milliseconds. */
export interface WindowedAmount {
  readonly max: number;
  readonly windowMs: number;
}

export type AmountUnit = 'pulls' | 'bytes';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const SHORTEST = MINUTE;
const LONGEST = 31 * DAY;
/** The units in which windows are written, the largest first. */
const WINDOW_UNITS: Readonly<Record<string, number>> = { d: DAY, h: 60 * MINUTE, m: MINUTE };
/** The units that are read. Seconds are accepted and never written. */
const READ_UNITS: Readonly<Record<string, number>> = { ...WINDOW_UNITS, s: 1000 };

const FORMS = {
  pulls: /^(\d{1,9})\/(\d{0,7})([smhd])$/,
  bytes: /^(\d{1,6}[KMGT]iB)\/(\d{0,7})([smhd])$/,
} as const;

/** Parses an amount; undefined if it is not one. `whyNoAmount` says why. */
export function parseAmount(text: string, unit: AmountUnit): WindowedAmount | undefined {
  const amount = parseOneAmount(text, unit);
  return amount !== undefined && whyOutside(amount) === undefined ? amount : undefined;
}

/** Reads an amount whose bounds are not checked yet. */
function parseOneAmount(text: string, unit: AmountUnit): WindowedAmount | undefined {
  const [, count = '', length = '', windowUnit = ''] = FORMS[unit].exec(text) ?? [];
  if (count === '') return undefined;
  const factor = SIZE_UNITS[count.slice(-3)] ?? 1;
  return {
    max: Number.parseInt(count, 10) * factor,
    windowMs: Number(length || 1) * (READ_UNITS[windowUnit] ?? 0),
  };
}

function whyOutside({ max, windowMs }: WindowedAmount): string | undefined {
  if (max < 1) return 'it is at least 1';
  if (!Number.isSafeInteger(max)) return 'it is less than 8192TiB';
  return windowMs < SHORTEST || windowMs > LONGEST ? WINDOW_BOUNDS : undefined;
}

const WINDOW_BOUNDS = 'a window lasts at least 1m and at most 31d; write one such as 24h';

/** Writes an amount as people do: `40/6h`. */
export function formatAmount({ max, windowMs }: WindowedAmount, unit: AmountUnit): string {
  return `${unit === 'pulls' ? max : formatWholeSize(max)}/${formatWindow(windowMs)}`;
}

/** Writes bytes in the largest unit that divides them. */
function formatWholeSize(bytes: number): string {
  const units = Object.entries(SIZE_UNITS).toReversed();
  const [unit, length] = units.find(([, length]) => bytes % length === 0) ?? ['', 1];
  return `${bytes / length}${unit}`;
}

/** Writes a window as people do: `6h`. */
export function formatWindow(windowMs: number): string {
  // `24h` is what people write for a day, and `7d` what they write for a week.
  for (const [unit, length] of Object.entries(WINDOW_UNITS))
    if (windowMs % length === 0 && (unit !== 'd' || windowMs > DAY)) return `${windowMs / length}${unit}`;
  return `${Math.ceil(windowMs / MINUTE)}m`;
}

export const AMOUNT_FORMS: Readonly<Record<AmountUnit, string>> = {
  pulls: 'a number of pulls in a window, such as 40/6h',
  bytes: 'a size in a window, such as 50GiB/24h',
};

/** Returns what was expected instead of a text that is not an amount, and how to write what was meant. */
export function whyNoAmount(text: string, unit: AmountUnit): string {
  const read = parseOneAmount(text, unit);
  const outside = read === undefined ? undefined : whyOutside(read);
  if (outside !== undefined) return `${AMOUNT_FORMS[unit]}: ${outside}`;
  if (/\/\d+ ?s/i.test(text)) return `${AMOUNT_FORMS[unit]}: ${WINDOW_BOUNDS}`;
  // The reader of the file suggests what only lacks blanks or the right case.
  if (parseAmount(text.replaceAll(' ', '').toLowerCase(), unit) !== undefined) return AMOUNT_FORMS[unit];
  const meant = meantAmount(text, unit);
  return meant === undefined ? AMOUNT_FORMS[unit] : `${AMOUNT_FORMS[unit]}; write ${meant}`;
}

const WRITTEN = /^(\d{1,9})([a-z]{0,5})(?:\/(\d{0,7})([a-z]{0,7}))?$/;
/** The windows that stand for their unit alone, as in `40/day`. */
const WORDS: Readonly<Record<string, string>> = { m: '1m', h: '1h', d: '24h', w: '7d' };

/** Returns the amount that a text in another form means: without a unit, or as in other programs. */
function meantAmount(text: string, unit: AmountUnit): string | undefined {
  const plain = text
    .slice(0, 80)
    .toLowerCase()
    .replaceAll(/(\d)[_,.'](?=\d{3}(?!\d))/g, '$1')
    .replaceAll(/\b(?:pulls?|requests?)\b/g, '')
    .replace(/\bper\b|\bin\b|\bevery\b|:|\//, '/')
    .replaceAll(/\s/g, '');
  // Some people write the window first.
  const match = WRITTEN.exec(plain.replace(/^(\d{1,7}[a-z]{1,7})\/(\d{1,9})$/, '$2/$1'));
  if (match === null) return undefined;
  const [, count = '', sizeUnit = '', length = '', windowUnit = ''] = match;
  const size = unit === 'pulls' ? (sizeUnit === '' ? '' : undefined) : sizeOf(sizeUnit);
  const window = windowOf(length, windowUnit);
  const meant = `${Number(count)}${size}/${window}`;
  return size !== undefined && window !== undefined && parseAmount(meant, unit) !== undefined
    ? meant
    : undefined;
}

function sizeOf(unit: string): string | undefined {
  const [, letter] = /^([kmgt])?(?:i?b|bytes?)?$/.exec(unit) ?? [];
  return letter === undefined ? (unit === '' ? 'GiB' : undefined) : `${letter.toUpperCase()}iB`;
}

function windowOf(length: string, unit: string): string | undefined {
  if (unit === '') return length === '' ? '24h' : `${length}h`;
  const [, letter = ''] = /^([mhdw])(?:ins?|inutes?|rs?|ours?|ays?|eeks?)?$/.exec(unit) ?? [];
  if (letter === '') return undefined;
  if (length === '') return WORDS[letter];
  return letter === 'w' ? `${Number(length) * 7}d` : `${length}${letter}`;
}
