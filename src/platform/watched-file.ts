import { stat } from 'node:fs/promises';
import { setInterval } from 'node:timers/promises';
import { FaultsError, formatFault, type Parsed } from './fault.ts';
import type { Logger } from './log.ts';

/** How soon a change is seen. Half of the second that a changed policy may take, so that reading it fits in too. */
const INTERVAL_MS = 400;

/**
 * Calls `load` once now, and again whenever the content of `file` may have changed, in whatever way it was written: in
 * place, renamed over, or by a symbolic link that points elsewhere now. A missing file is a state like any other.
 * The first call's error is the caller's; later ones are logged, and the next change is another chance.
 *
 * The file system is asked at short intervals rather than watched, because a watch on a file goes deaf with the first
 * rename over it. The state is taken before the content is read, so that a write in between is seen the next time.
 */
export async function watchFile(file: string, load: () => Promise<void>, log: Logger): Promise<Disposable> {
  let seen = await stateOf(file);
  await load();
  const stop = new AbortController();
  const follow = async () => {
    for await (const _ of setInterval(INTERVAL_MS, undefined, { signal: stop.signal, ref: false })) {
      const state = await stateOf(file);
      if (state === seen) continue;
      seen = state;
      await load().catch((error: Error) =>
        log.error({ file, error: error.message }, 'a file cannot be read anew'),
      );
    }
  };
  follow().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  return { [Symbol.dispose]: () => stop.abort() };
}

async function stateOf(file: string): Promise<string> {
  const stats = await stat(file, { bigint: true }).catch(() => undefined);
  if (stats === undefined) return 'absent';
  const { dev, ino, size, mtimeNs, ctimeNs } = stats;
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

/** What a hand-written file says now: asked for whenever it is needed, never kept. */
export interface Followed<T> extends Disposable {
  readonly current: T;
}

/**
 * Follows a hand-written file. One that is torn or wrong changes nothing: the last good one goes on to hold, and the log
 * says what is wrong. `what` is how the log calls the file.
 *
 * @throws FaultsError where it is wrong now, for then there is no last good one.
 */
export async function followFile<T>(
  what: string,
  file: string,
  read: (file: string) => Promise<Parsed<T>>,
  log: Logger,
): Promise<Followed<T>> {
  let followed: { readonly value: T } | undefined;
  const load = async () => {
    const next = await read(file);
    if ('value' in next) {
      if (followed !== undefined) log.info({ file }, `${what} changed`);
      followed = next;
    } else if (followed === undefined) {
      throw new FaultsError(next.faults);
    } else {
      const faults = next.faults.map(formatFault);
      log.error({ file, faults }, `${what} refused; the last good one holds`);
    }
  };
  const watch = await watchFile(file, load, log);
  return {
    get current() {
      return (followed as { readonly value: T }).value;
    },
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  };
}
