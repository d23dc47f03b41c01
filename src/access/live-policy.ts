import { readFile } from 'node:fs/promises';
import { FaultsError, formatFault, type Parsed } from '../platform/fault.ts';
import type { Logger } from '../platform/log.ts';
import { watchFile } from '../platform/watched-file.ts';
import type { Policy } from './policy.ts';
import { parsePolicy } from './policy-file.ts';

/** The policy as the file says it now: asked for at every request, never kept. */
export interface LivePolicy extends Disposable {
  readonly current: Policy;
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

/**
 * Follows a policy file. A file that is torn or wrong changes nothing: the last good policy goes on to hold, and the
 * log says what is wrong. At the start there is no last good one, so then a `FaultsError` is thrown.
 */
export async function followPolicy(file: string, log: Logger): Promise<LivePolicy> {
  let current: Policy | undefined;
  const load = async () => {
    const next = await readPolicy(file);
    if ('value' in next) {
      if (current !== undefined && current.version !== next.value.version)
        log.info({ file }, 'access policy changed');
      current = next.value;
      return;
    }
    if (current === undefined) throw new FaultsError(next.faults);
    log.error(
      { file, faults: next.faults.map(formatFault) },
      'access policy refused; the last good one holds',
    );
  };
  const watch = await watchFile(file, load);
  return {
    get current() {
      return current as Policy;
    },
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  };
}
