/** It is long enough for a machine that does ten other things, and shorter than the test runner’s 180 s. */
const DEADLINE_MS = 120_000;

/**
 * Waits for something that another party does at its own time and does not report. It asks ever less often,
 * so that a condition that costs something leaves the processor to that party.
 */
export async function waitFor(condition: () => boolean | Promise<boolean>): Promise<void> {
  const start = performance.now();
  for (;;) {
    if (await condition()) return;
    const waited = performance.now() - start;
    if (waited > DEADLINE_MS) throw new Error('what was waited for has not happened');
    await new Promise((resolve) => setTimeout(resolve, Math.min(25, 2 + waited / 10)));
  }
}
