import { readFile } from 'node:fs/promises';

/**
 * Returns the lines of the audit log; none if there is no file. A line that is still being written is left
 * out, because a reader can see the first part of a write before the rest.
 */
export async function readAuditLog<Line = Record<string, unknown>>(file: string): Promise<Line[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}
