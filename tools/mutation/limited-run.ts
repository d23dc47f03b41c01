import { execFile, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** The time limit for the test files of one mutant, in milliseconds. An endless loop counts as a failure. */
const LONGEST = 180_000;
/** The memory limit for all test processes of one mutant together, in bytes. */
const MOST_MEMORY = 3 * 2 ** 30;
const MEMORY_INTERVAL = 500;
/** The bytes of a page of memory. */
const PAGE = 4096;

export interface TestRun {
  readonly passed: boolean;
  /**
   * The name of the test that failed first, or of those that failed by then, or the limit that ended the run.
   */
  readonly failures: readonly string[];
}

export interface TestPlace {
  /** The checkout. */
  readonly directory: string;
  /**
   * Where the run has its temporary files. It is emptied afterwards, because a run that is ended leaves some.
   */
  readonly temporary: string;
  /** Where Node keeps what it has compiled, for the next run. */
  readonly compiled: string;
}

/** Runs test files, and ends the run at the first test that fails, or at a limit of time or memory. */
export async function runTests(place: TestPlace, files: readonly string[]): Promise<TestRun> {
  await mkdir(place.temporary, { recursive: true });
  try {
    return await runLimited(place, files);
  } finally {
    await removeTree(place.temporary);
  }
}

/**
 * Removes a directory, but nothing that is mounted in it: a test that was ended may have left the whole
 * machine's files there.
 */
export async function removeTree(directory: string): Promise<void> {
  for (const mount of (await mountsBelow(directory)).reverse()) await execute('umount', ['--lazy', mount]);
  const left = await mountsBelow(directory);
  if (left.length > 0) throw new Error(`these are still mounted, so ${directory} is not removed: ${left}`);
  await rm(directory, { recursive: true, force: true });
}

/** Returns the mount points in the order of their mounting (proc_pid_mounts(5)). */
async function mountsBelow(directory: string): Promise<string[]> {
  const lines = (await readFile('/proc/self/mounts', 'utf8')).split('\n');
  return lines.map((line) => line.split(' ')[1] ?? '').filter((at) => at.startsWith(`${directory}/`));
}

async function runLimited(
  { directory, temporary, compiled }: TestPlace,
  files: readonly string[],
): Promise<TestRun> {
  const args = ['--test', '--test-timeout=60000', '--test-reporter=tap', ...files];
  const child = spawn(process.execPath, args, {
    cwd: directory,
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, TMPDIR: temporary, NODE_COMPILE_CACHE: compiled },
  });
  let output = '';
  let limit: string | undefined;
  const stop = async () => {
    if (child.pid !== undefined) await killTree(child.pid);
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    // The line of a test comes before that of its suite, so the first failed test is there in full.
    if (failedTests(output).length > 0) void stop();
  });
  const stopAt = (reason: string) => {
    limit ??= reason;
    void stop();
  };
  const timer = setTimeout(() => stopAt(`the run took longer than ${LONGEST / 1000} s`), LONGEST);
  const watch = setInterval(async () => {
    if (child.pid !== undefined && (await treeMemory(child.pid)) > MOST_MEMORY)
      stopAt(`the run used more than ${MOST_MEMORY / 2 ** 30} GiB`);
  }, MEMORY_INTERVAL);
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  clearInterval(watch);
  const failures = failedTests(output);
  if (failures.length > 0 || limit === undefined) return { passed: code === 0, failures };
  return { passed: false, failures: [limit] };
}

/**
 * Returns the names of failed tests from the whole lines of TAP output, without the suites that contain them.
 */
function failedTests(tap: string): string[] {
  const lines = tap
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => {
      const at = line.indexOf('not ok ');
      return at === -1 || line.slice(0, at).trim() !== '' ? [] : [{ depth: at, text: line.slice(at) }];
    });
  const deepest = lines.filter(({ depth }, index) => (lines[index - 1]?.depth ?? -1) <= depth);
  return deepest.map(({ text }) => text.slice(text.indexOf(' - ') + 3));
}

/** Ends a process and all that it has started, of which some may be in other process groups. */
async function killTree(root: number): Promise<void> {
  for (const { pid } of await processTree(root)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  }
}

async function treeMemory(root: number): Promise<number> {
  return (await processTree(root)).reduce((sum, { memory }) => sum + memory, 0);
}

interface TreeProcess {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** The resident memory in bytes. */
  readonly memory: number;
}

/** Returns the process, its descendants and all of its group. */
async function processTree(root: number): Promise<TreeProcess[]> {
  const pids = (await readdir('/proc')).map(Number).filter(Number.isInteger);
  const all = (await Promise.all(pids.map(processOf))).filter((one) => one !== undefined);
  const members = new Set([root]);
  for (let before = 0; before < members.size; ) {
    before = members.size;
    for (const { pid, parent, group } of all) {
      if (members.has(parent) || group === root) members.add(pid);
    }
  }
  return all.filter(({ pid }) => members.has(pid));
}

/** Reads proc(5), of whose file `stat` the fields 4, 5 and 24 are used. */
async function processOf(pid: number): Promise<TreeProcess | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [, parent, group] = fields;
  if (stat === '') return undefined;
  return { pid, parent: Number(parent), group: Number(group), memory: Number(fields[21]) * PAGE };
}
