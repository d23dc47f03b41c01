import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';

/** The time limit for the test files of one mutant, in milliseconds. An endless loop counts as a failure. */
const LONGEST = 180_000;
/** The memory limit for all test processes of one mutant together, in bytes. */
const MOST_MEMORY = 3 * 2 ** 30;
const MEMORY_INTERVAL = 500;

export interface TestRun {
  readonly passed: boolean;
  /** The names of the failed tests, or the limit that ended the run. */
  readonly failures: readonly string[];
}

/** Runs test files in `directory`, and ends the run at a limit of time or memory. */
export async function runTests(directory: string, files: readonly string[]): Promise<TestRun> {
  const args = ['--test', '--test-timeout=60000', '--test-reporter=tap', ...files];
  const child = spawn(process.execPath, args, {
    cwd: directory,
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  let limit: string | undefined;
  const stop = (reason: string) => {
    limit ??= reason;
    if (child.pid !== undefined) killGroup(child.pid);
  };
  const timer = setTimeout(() => stop(`the run took longer than ${LONGEST / 1000} s`), LONGEST);
  const watch = setInterval(async () => {
    if (child.pid !== undefined && (await groupMemory(child.pid)) > MOST_MEMORY)
      stop(`the run used more than ${MOST_MEMORY / 2 ** 30} GiB`);
  }, MEMORY_INTERVAL);
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  clearInterval(watch);
  if (child.pid !== undefined) killGroup(child.pid);
  if (limit !== undefined) return { passed: false, failures: [limit] };
  return { passed: code === 0, failures: failedTests(output) };
}

/** Returns the names of failed tests from TAP output, without the files and suites that contain them. */
function failedTests(tap: string): string[] {
  const lines = tap.split('\n').flatMap((line) => {
    const at = line.indexOf('not ok ');
    return at === -1 || line.slice(0, at).trim() !== '' ? [] : [{ depth: at, text: line.slice(at) }];
  });
  const deepest = lines.filter(({ depth }, index) => (lines[index - 1]?.depth ?? -1) <= depth);
  return deepest.map(({ text }) => text.slice(text.indexOf(' - ') + 3));
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group has ended already.
  }
}

/** Returns the resident memory of a process group in bytes (proc(5), fields 5 and 24 of /proc/PID/stat). */
async function groupMemory(group: number): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => Number.isInteger(Number(name)));
  const sizes = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(fields[2]) === group ? Number(fields[21]) * 4096 : 0;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
