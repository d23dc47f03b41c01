import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../log.ts';

/**
 * Runs `task` periodically, with a pause after each run: `milliseconds`, or the number that the run returns.
 * Errors are logged. Disposing of it aborts `signal` and waits for a run that is under way.
 */
export function runPeriodically(
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
        // A task that ends because its signal was aborted has not failed.
        if (!signal.aborted) log.error({ err: error }, 'a periodic task failed');
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

/** Runs `task` once, in the background. Disposing of it aborts the task's signal, and waits. */
export function runInBackground(task: (signal: AbortSignal) => Promise<void>, log: Logger): AsyncDisposable {
  const stop = new AbortController();
  const { signal } = stop;
  const running = task(signal).catch((error: Error) => {
    if (!signal.aborted) log.error({ err: error }, 'a task failed');
  });
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}
