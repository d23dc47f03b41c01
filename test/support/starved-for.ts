import { readdirSync, readFileSync } from 'node:fs';

const TASKS = '/proc/self/task';

/**
 * Returns the milliseconds for which the threads of this process were ready to run and got no CPU because
 * others had it: proc(5), schedstat. On a quiet machine it does not grow. A test adds the growth to the time
 * that it allows a program.
 */
export function starvedFor(): number {
  let nanoseconds = 0;
  for (const task of tasks())
    try {
      nanoseconds += Number(readFileSync(`${TASKS}/${task}/schedstat`, 'utf8').split(' ')[1]);
    } catch {
      // The thread has ended.
    }
  return nanoseconds / 1e6;
}

function tasks(): readonly string[] {
  try {
    return readdirSync(TASKS);
  } catch {
    return [];
  }
}
