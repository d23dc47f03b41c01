import { starvedFor } from './starved-for.ts';

/** It is far more than the second that tests allow, and less than the test runner's 180 s. */
const GIVE_UP_AFTER = 10_000;

/**
 * Asks until `ask` answers true. Returns the milliseconds from the call to the last question that was
 * answered otherwise, except those for which others had the CPU. So the time that one answer takes does not
 * count, and a busy machine makes the result no larger; on a quiet one it is the time for which the old
 * answer was given.
 */
export async function untilTrue(ask: () => Promise<boolean>): Promise<number> {
  const [started, starved] = [performance.now(), starvedFor()];
  let last = 0;
  for (;;) {
    const asked = performance.now() - started - (starvedFor() - starved);
    if (await ask()) return last;
    last = asked;
    if (asked > GIVE_UP_AFTER) throw new Error(`the answer has not changed after ${Math.round(asked)} ms`);
  }
}
