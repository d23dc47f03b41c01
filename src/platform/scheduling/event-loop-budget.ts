/** The milliseconds that all tasks together may use of one turn of the event loop. */
const SHARE = 2;

type BudgetedTask = () => void;

// A process has one event loop, so the following state belongs to the process, and not to an object.
/** The end of this turn's share, by the monotonic clock; undefined until the turn has a task. */
let ends: number | undefined;
/** The waiting tasks of each caller. The caller whose turn it is comes first. */
const waiting = new Map<string, BudgetedTask[]>();

/**
 * Runs a short task, such as a write to a connection, of which hundreds may come at the same time and would
 * together be one long turn of the event loop. The task runs at once while this turn has time left, and
 * otherwise in one of the next turns. Callers take turns, so one caller with hundreds of tasks delays another one
 * by one task. The tasks of one caller run in the order of the calls.
 */
export function withinLoopBudget<T>(task: () => Promise<T>, callerOf: () => string): Promise<T> {
  if (waiting.size === 0 && isYoung()) return task();
  return new Promise((resolve) => enqueue(callerOf(), () => resolve(task())));
}

function enqueue(caller: string, task: BudgetedTask): void {
  const queue = waiting.get(caller);
  if (queue === undefined) waiting.set(caller, [task]);
  else queue.push(task);
}

/** Removes a task of the caller whose turn it is, and puts that caller behind all others. */
function dequeue(): BudgetedTask | undefined {
  for (const [caller, queue] of waiting) {
    waiting.delete(caller);
    const task = queue.shift();
    if (queue.length > 0) waiting.set(caller, queue);
    return task;
  }
  return undefined;
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
  while (waiting.size > 0 && isYoung()) {
    dequeue()?.();
    // What follows from the task without waiting runs in this turn too.
    await undefined;
  }
}
