import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from './log.ts';

/**
 * Runs `task` again and again, with a pause of `milliseconds` after each run, or of as many as it returns. What it throws
 * is logged. Disposing of it waits for a run that is under way; `signal` tells that run.
 */
export function every(
  milliseconds: number,
  task: (signal: AbortSignal) => Promise<number | undefined>,
  log: Logger,
): AsyncDisposable {
  const stop = new AbortController();
  const { signal } = stop;
  const run = async () => {
    let pause = milliseconds;
    while (!signal.aborted) {
      await delay(pause, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      pause = milliseconds;
      try {
        pause = (await task(signal)) ?? milliseconds;
      } catch (error) {
        // What ends because it was told to has not failed.
        if (!signal.aborted) log.error({ error: (error as Error).stack }, 'a periodic task failed');
      }
    }
  };
  const running = run();
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}

/** Runs `task` once, in the background; disposing of it tells it to end, and waits. */
export function once(task: (signal: AbortSignal) => Promise<void>, log: Logger): AsyncDisposable {
  const stop = new AbortController();
  const { signal } = stop;
  const running = task(signal).catch((error: Error) => {
    if (!signal.aborted) log.error({ error: error.stack }, 'a task failed');
  });
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}
