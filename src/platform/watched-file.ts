import { stat } from 'node:fs/promises';
import { setInterval } from 'node:timers/promises';

/** How soon a change is seen. Half of the second that a changed policy may take, so that reading it fits in too. */
const INTERVAL_MS = 400;

/**
 * Calls `load` once now, and again whenever the content of `file` may have changed, in whatever way it was written: in
 * place, renamed over, or by a symbolic link that points elsewhere now. A missing file is a state like any other.
 * Only the first call's error is the caller's; later ones are for `load` itself to deal with.
 *
 * The file system is asked at short intervals rather than watched, because a watch on a file goes deaf with the first
 * rename over it. The state is taken before the content is read, so that a write in between is seen the next time.
 */
export async function watchFile(file: string, load: () => Promise<void>): Promise<Disposable> {
  let seen = await stateOf(file);
  await load();
  const stop = new AbortController();
  const follow = async () => {
    for await (const _ of setInterval(INTERVAL_MS, undefined, { signal: stop.signal, ref: false })) {
      const state = await stateOf(file);
      if (state === seen) continue;
      seen = state;
      await load();
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
