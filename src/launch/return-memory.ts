import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Returns the memory that only the start needed. Otherwise V8 keeps it, a third of it empty, until somebody
 * else needs memory. This takes some tens of milliseconds, so it is for the end of a start, before anybody is
 * served.
 */
export function returnMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect: NodeJS.GCFunction = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
