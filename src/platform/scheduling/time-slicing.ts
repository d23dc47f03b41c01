import { setImmediate as turn } from 'node:timers/promises';

/** The length in milliseconds. Long work lets other work run after each slice. */
const SLICE = 5;

/** Runs all steps of long work, and lets the event loop run between some of them. */
export async function runInSlices<T>(steps: Iterator<void, T>): Promise<T> {
  for (;;) {
    const last = runSlice(steps);
    if (last !== undefined) return last.value;
    await turn();
  }
}

/**
 * Runs the steps of long work for one slice of time. Returns the result if the work is done, else undefined.
 */
export function runSlice<T>(steps: Iterator<void, T>): { readonly value: T } | undefined {
  const end = performance.now() + SLICE;
  do {
    const step = steps.next();
    if (step.done) return step;
  } while (performance.now() < end);
  return undefined;
}

/** Runs all steps without a pause. */
export function runAtOnce<T>(steps: Iterator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
