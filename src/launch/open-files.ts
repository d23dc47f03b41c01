import { propertyOf } from '../platform/object-properties.ts';

/**
 * A mirror needs at least this many open files to serve anybody. A gateway that nobody uses has some thirty
 * open.
 */
const FEWEST_OPEN_FILES = 256;

/**
 * Returns how many files and connections this process may have open. Node has raised the soft limit to the
 * hard one. Its report (https://nodejs.org/api/report.html) has `unlimited` as a string.
 */
export function openFilesLimit(): number {
  const limits = propertyOf(process.report.getReport(), 'userLimits');
  const soft = propertyOf(propertyOf(limits, 'open_files'), 'soft');
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}

/** Returns why the limit is too low to start anything; undefined if it is not. */
export function tooFewOpenFiles(limit = openFilesLimit()): string | undefined {
  if (limit >= FEWEST_OPEN_FILES) return undefined;
  return `a process may have only ${limit} files open, and a mirror needs at least ${FEWEST_OPEN_FILES}: ${RAISE_OPEN_FILES}`;
}

export const RAISE_OPEN_FILES =
  'raise it with LimitNOFILE= in a systemd unit, `ulimits: { nofile: 65536 }` in a compose file, or `ulimit -Hn` in the shell that starts it';
