const ATTEMPTS = 3;
const LONGER = 10;

/**
 * Runs a part of a test in which one party misses a deadline on purpose and another one must meet it. If it
 * fails, it runs again with a deadline ten times as long: a busy machine misses the short one, and a defect
 * fails with all of them.
 */
export async function withLongerDeadlines(
  deadline: number,
  act: (deadline: number) => Promise<void>,
  attempts = ATTEMPTS,
): Promise<void> {
  try {
    await act(deadline);
  } catch (error) {
    if (attempts === 1) throw error;
    await withLongerDeadlines(deadline * LONGER, act, attempts - 1);
  }
}
