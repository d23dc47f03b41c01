/** The milliseconds that all tasks together may use of one turn of the event loop. */
const SHARE = 2;

// A process has one event loop, so the following state belongs to the process, and not to an object.
/** The end of this turn's share, by the monotonic clock; undefined until the turn has a task. */
let ends: number | undefined;
const waiting: (() => void)[] = [];

/**
 * Runs a short task, such as a write to a connection, of which hundreds may come at the same time and would
 * together be one long turn of the event loop. The task runs at once while this turn has time left, and
 * otherwise in one of the next turns, in the order of the calls.
 */
export function withinLoopBudget<T>(task: () => Promise<T>): Promise<T> {
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
    // What follows from the task without waiting runs in this turn too.
    await undefined;
  }
}
