/** It is long enough for a machine that does ten other things, and shorter than the test runner’s 60 s. */
const DEADLINE_MS = 50_000;

/** Waits for something that another party does at its own time and does not report. */
export async function waitFor(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('what was waited for has not happened');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
