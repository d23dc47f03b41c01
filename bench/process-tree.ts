/**
 * Measures the cost of a server: the CPU time and the memory of its process and of all below it, read from
 * /proc.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

export interface ProcessMemory {
  readonly pid: number;
  /** The name of the process, as far as its arguments show it. */
  readonly name: string;
  /**
   * The proportional set size in bytes: a part of each shared page counts for each process that shares it.
   */
  readonly pss: number;
}

/** Returns the fields of proc_pid_stat(5) after the name, which may contain blanks and brackets. */
function statOf(pid: number | 'self'): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const parent = Number(statOf(pid)[1]);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/** Returns the seconds of CPU time that a tree has used, including its ended and reaped processes. */
export function cpuSeconds(root: number): number {
  return processTree(root).reduce((total, pid) => total + ownCpuSeconds(pid), 0);
}

function ownCpuSeconds(pid: number): number {
  const [utime, stime, cutime, cstime] = statOf(pid).slice(11, 15).map(Number);
  return ((utime ?? 0) + (stime ?? 0) + (cutime ?? 0) + (cstime ?? 0)) / TICKS;
}

/**
 * Returns the bytes that a tree's processes have read from the disk, and not from the page cache
 * (proc_pid_io(5)).
 */
export function readFromDisk(root: number): number {
  return processTree(root).reduce((total, pid) => total + diskReadsOf(pid), 0);
}

function diskReadsOf(pid: number): number {
  try {
    return Number(/^read_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/**
 * Returns the CPU time of this process's ended children, which is that of a load generator if nothing else
 * ended meanwhile.
 */
export function reapedCpuSeconds(): number {
  const [cutime, cstime] = statOf('self').slice(13, 15).map(Number);
  return ((cutime ?? 0) + (cstime ?? 0)) / TICKS;
}

export function memoryOf(root: number): ProcessMemory[] {
  return processTree(root).flatMap((pid) => {
    try {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      const kilobytes = Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1]);
      return Number.isNaN(kilobytes) ? [] : [{ pid, name: nameOf(pid), pss: kilobytes * 1024 }];
    } catch {
      return [];
    }
  });
}

function nameOf(pid: number): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  // nginx writes a title in place of its arguments.
  const title = /^nginx: [a-z]+/.exec(words[0] ?? '');
  if (title !== null) return title[0];
  const role = words.indexOf('--role');
  if (role !== -1) return words[role + 1] ?? '';
  return words.includes('start') ? 'supervisor' : (words[0]?.split('/').at(-1) ?? '');
}

export function totalMemory(root: number): number {
  return memoryOf(root).reduce((total, { pss }) => total + pss, 0);
}

/**
 * How much a process grows. The kernel keeps the peak of its resident set (proc_pid_status(5)), so nobody has
 * to look while something is measured.
 */
export class PeakMemory {
  readonly #pid: number;
  readonly #before: number;

  constructor(pid: number) {
    // proc_pid_clear_refs(5): the peak begins anew.
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    this.#pid = pid;
    this.#before = this.#read('VmRSS');
  }

  /** Bytes. */
  growth(): number {
    return this.#read('VmHWM') - this.#before;
  }

  #read(field: 'VmRSS' | 'VmHWM'): number {
    const status = readFileSync(`/proc/${this.#pid}/status`, 'utf8');
    return 1024 * Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  }
}

/** Looks at a tree's memory periodically, and records the maximum. */
export class MemoryWatch implements Disposable {
  #most = 0;
  readonly #root: number;
  readonly #timer: NodeJS.Timeout;

  constructor(root: number, every: number) {
    this.#root = root;
    this.#timer = setInterval(() => this.#look(), every);
    this.#look();
  }

  /** Returns the maximum in bytes. */
  peak(): number {
    this.#look();
    return this.#most;
  }

  #look(): void {
    this.#most = Math.max(this.#most, totalMemory(this.#root));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
