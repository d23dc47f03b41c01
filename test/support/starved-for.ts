import { readdirSync, readFileSync } from 'node:fs';

const TASKS = '/proc/self/task';

/**
 * Milliseconds for which the threads of this process were ready to run and had no CPU, because others had it: proc(5),
 * schedstat. On a quiet machine it does not grow. What a test allows a program beside its bound is what this grew by.
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
