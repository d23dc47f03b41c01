/** Milliseconds of one turn of the event loop, for the tasks of all. */
const SHARE = 2;

/** When this turn has been long enough, by the monotonic clock; undefined until there is a task in it. */
let ends: number | undefined;
const waiting: (() => void)[] = [];

/**
 * Does a short task of which hundreds may come up at the same time, such as a write to a connection, and which together would be one
 * long turn of the event loop: at once while this turn is young, else in one of the next, in the order of the calls.
 */
export function inTurn<T>(task: () => Promise<T>): Promise<T> {
  if (waiting.length === 0 && isYoung()) return task();
  return new Promise((resolve) => waiting.push(() => resolve(task())));
}

function isYoung(): boolean {
  const now = performance.now();
  if (ends === undefined) {
    ends = now + SHARE;
    setImmediate(beginNext);
  }
  return now < ends;
}

function beginNext(): void {
  ends = undefined;
  void goOn();
}

async function goOn(): Promise<void> {
  while (waiting.length > 0 && isYoung()) {
    waiting.shift()?.();
    // What follows from it without waiting is done in this turn too.
    await undefined;
  }
}
