import { readFile } from 'node:fs/promises';
import type { Parsed } from '../platform/fault.ts';
import type { Logger } from '../platform/log.ts';
import { type Followed, followFile } from '../platform/watched-file.ts';
import type { Policy } from './policy.ts';
import { parsePolicy } from './policy-file.ts';

/** The policy as the file says it now: asked for at every request, never kept. */
export type LivePolicy = Followed<Policy>;

export function followPolicy(file: string, log: Logger): Promise<LivePolicy> {
  return followFile('access policy', file, readPolicy, log);
}

export async function readPolicy(file: string): Promise<Parsed<Policy>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const message = missing
      ? 'there is no policy; `hubgate start` puts the default one here'
      : `cannot be read: ${(error as Error).message}`;
    return { faults: [{ source: file, message }] };
  }
  return parsePolicy(file, text);
}
