import { setImmediate as turn } from 'node:timers/promises';

/** Milliseconds. Long work gives others a turn so often. */
const SLICE = 5;

/** Does all steps of long work, and between some of them lets the event loop do what waits there. */
export async function runInSlices<T>(steps: Iterator<void, T>): Promise<T> {
  for (;;) {
    const last = runSlice(steps);
    if (last !== undefined) return last.value;
    await turn();
  }
}

/** Does as many steps of long work as others can wait for. Is it done? Then what it came to. */
export function runSlice<T>(steps: Iterator<void, T>): { readonly value: T } | undefined {
  const end = performance.now() + SLICE;
  do {
    const step = steps.next();
    if (step.done) return step;
  } while (performance.now() < end);
  return undefined;
}

/** Does all steps now. */
export function runAtOnce<T>(steps: Iterator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
