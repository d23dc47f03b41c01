/** The milliseconds that all tasks together may use of one turn of the event loop. */
const SHARE = 2;

type BudgetedTask = () => void;

interface BudgetedCaller {
  readonly name: string;
  readonly tasks: BudgetedTask[];
}

// A process has one event loop, so the following state belongs to the process, and not to an object.
/** The end of this turn's share, by the monotonic clock; undefined until the turn has a task. */
let ends: number | undefined;
/** The callers whose tasks wait, by their names. */
const waiting = new Map<string, BudgetedCaller>();
/** The same callers. The one whose turn it is comes first. */
const turns: BudgetedCaller[] = [];

/**
 * Runs a short task, such as a write to a connection. Hundreds of such tasks may come at the same time, and
 * would together be one long turn of the event loop. So a task runs at once while this turn has time left,
 * and otherwise in one of the next turns. Callers take turns, so one caller with hundreds of tasks delays
 * another one by one task. The tasks of one caller run in the order of the calls.
 */
export function withinLoopBudget<T>(task: () => Promise<T>, callerOf: () => string): Promise<T> {
  if (turns.length === 0 && isYoung()) return task();
  return new Promise((resolve) => enqueue(callerOf(), () => resolve(task())));
}

function enqueue(name: string, task: BudgetedTask): void {
  const known = waiting.get(name);
  if (known !== undefined) return void known.tasks.push(task);
  const caller = { name, tasks: [task] };
  waiting.set(name, caller);
  turns.push(caller);
}

/** Removes a task of the caller whose turn it is, and puts that caller behind all others. */
function dequeue(): BudgetedTask | undefined {
  const caller = turns.shift();
  const task = caller?.tasks.shift();
  if (caller === undefined) return undefined;
  // The map changes only with the callers and not with each task: see `ChangingSet`.
  if (caller.tasks.length > 0) turns.push(caller);
  else waiting.delete(caller.name);
  return task;
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
  while (turns.length > 0 && isYoung()) {
    dequeue()?.();
    // The microtasks of the task run in this turn too.
    await undefined;
  }
}
