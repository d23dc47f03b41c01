import path from 'node:path';
import type { LimitEntry } from '../../access/limit-changes.ts';
import type { LimitData, ReserveData } from '../../access/policy-data.ts';
import { type HomePaths, inHome } from '../../config/home.ts';
import { formatAmount } from '../../platform/windowed-amount.ts';

/** Returns what a limit or a reserve says, as people would write it. */
export function describeEntry({ kind, data }: LimitEntry): string {
  return kind === 'limit' ? describeLimit(data) : describeReserve(data);
}

function describeLimit({ pulls, bytes, each, to, except, from, upstream, because }: LimitData): string {
  return [
    pulls && formatAmount(pulls, 'pulls'),
    bytes && formatAmount(bytes, 'bytes'),
    upstream && `at ${upstream.join(', ')}`,
    `${each ? 'for each of' : 'for'} ${to.join(', ')}`,
    except && `except ${except.join(', ')}`,
    from && `from ${from.join(', ')}`,
    because && `(${because})`,
  ]
    .filter((part) => part !== undefined)
    .join(' ');
}

function describeReserve({ upstream, keep, for: who, because }: ReserveData): string {
  const reason = because === undefined ? '' : ` (${because})`;
  return `${Number((keep * 100).toFixed(2))}% of ${upstream} for ${who.join(', ')}${reason}`;
}

/** Returns the id of a limit or a reserve, and its file and line. */
export function formatEntry({ data: { id, source, line } }: LimitEntry, paths: HomePaths): string {
  return `${id} ${inHome(path.resolve(source), paths)}:${line}`;
}

/** Returns an entry as it is printed in JSON. */
export function displayedEntry({ data }: LimitEntry, paths: HomePaths) {
  const { source, line, column: _, ...content } = data;
  return { ...content, place: `${inHome(path.resolve(source), paths)}:${line}` };
}
