/** A thread that hashes passwords, and leaves the CPU to whoever else needs it. */
import { getPriority, setPriority } from 'node:os';
import { answerQuestions } from '../../platform/kept-thread.ts';
import type { HashingTask } from './hashing-threads.ts';
import { hashNow, verifyNow } from './password.ts';

/**
 * The nice value that is added. On a busy CPU the thread gets a third of the time that another one gets. With a higher value a
 * login beside ten busy threads would take longer than clients wait.
 */
const NICER = 5;
const LOWEST_PRIORITY = 19;

lowerPriority();
answerQuestions((task: HashingTask) =>
  task.kind === 'hash' ? hashNow(task.password, task.parameters) : verifyNow(task.hash, task.password),
);

/** Linux keeps a priority for each thread, and 0 means this one: setpriority(2), "C library/kernel differences". */
function lowerPriority(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, Math.min(LOWEST_PRIORITY, getPriority(0) + NICER));
  } catch {
    // A sandbox may forbid it. Logins then take their share of the CPU as pulls do.
  }
}
