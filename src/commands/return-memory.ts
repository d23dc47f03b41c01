import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Gives back what a start has needed once: V8 keeps what it has taken for as long as nobody needs memory, a third of it
 * empty. It takes some tens of milliseconds, and is for the end of a start, before anybody is served.
 */
export function returnMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect: NodeJS.GCFunction = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
