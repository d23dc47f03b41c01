import { setImmediate as turn } from 'node:timers/promises';

/** Milliseconds. Long work gives others a turn so often. */
const SLICE = 5;

/** Does all steps of long work, and between some of them lets the event loop do what waits there. */
export async function runInSlices<T>(steps: Iterator<void, T>): Promise<T> {
  for (;;) {
    const end = performance.now() + SLICE;
    while (performance.now() < end) {
      const step = steps.next();
      if (step.done) return step.value;
    }
    await turn();
  }
}

/** Does all steps now. */
export function runAtOnce<T>(steps: Iterator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
