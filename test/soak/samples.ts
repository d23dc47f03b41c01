import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { memoryOf } from '../../bench/process-tree.ts';
import type { Findings } from './findings.ts';

const MIB = 2 ** 20;

/**
 * By how much a series may grow from the second quarter of its time to the last, as a factor and in its own
 * unit.
 */
interface Allowance {
  readonly factor: number;
  readonly more: number;
}

const ALLOWANCES: readonly (readonly [RegExp, Allowance])[] = [
  [/MiB$/, { factor: 1.4, more: 32 }],
  // A busy machine has more connections open at a time. One that leaks has thousands after minutes.
  [/descriptors$/, { factor: 1.5, more: 400 }],
  [/KiB$/, { factor: 1.5, more: 1024 }],
  [/files$/, { factor: 1.5, more: 50 }],
];

/** Shorter series say nothing about growth. */
const SHORTEST_SERIES = 16;

/** What is measured, relative to the home. */
export interface SampledPlaces {
  /** The directories whose files are counted. */
  readonly files: readonly string[];
  readonly databases: readonly string[];
  readonly content: string;
}

/** Samples of memory, descriptors, files and databases, and whether they grow without end. */
export class Samples {
  readonly #series = new Map<string, number[]>();
  readonly #home: string;
  readonly #pid: number;
  readonly #places: SampledPlaces;

  constructor(pid: number, home: string, places: SampledPlaces) {
    this.#pid = pid;
    this.#home = home;
    this.#places = places;
  }

  async take(): Promise<void> {
    for (const { pid, name, pss } of memoryOf(this.#pid)) {
      this.#add(`${name} ${pid}, MiB`, pss / MIB);
      const open = await readdir(`/proc/${pid}/fd`).catch(() => []);
      this.#add(`${name} ${pid}, descriptors`, open.length);
    }
    const at = (name: string) => path.join(this.#home, name);
    const { files, databases } = this.#places;
    for (const name of files) this.#add(`${name}, files`, (await filesBelow(at(name))).length);
    for (const name of databases) this.#add(`${name}, KiB`, (await sizeOf(at(name))) / 1024);
    this.#add('content, bytes', await this.contentSize());
  }

  /** Measures the size of the content, without recording it. */
  async contentSize(): Promise<number> {
    const files = await filesBelow(path.join(this.#home, this.#places.content));
    return (await Promise.all(files.map(sizeOf))).reduce((sum, size) => sum + size, 0);
  }

  last(name: string): number {
    return this.#series.get(name)?.at(-1) ?? 0;
  }

  largest(name: string): number {
    return Math.max(0, ...(this.#series.get(name) ?? []));
  }

  judge(findings: Findings): void {
    for (const [name, values] of this.#series) {
      const allowance = ALLOWANCES.find(([pattern]) => pattern.test(name))?.[1];
      if (allowance === undefined || values.length < SHORTEST_SERIES) continue;
      const quarter = Math.floor(values.length / 4);
      const early = median(values.slice(quarter, 2 * quarter));
      const late = median(values.slice(-quarter));
      if (late > early * allowance.factor + allowance.more)
        findings.anomaly('something grows without end', `${name}: ${early.toFixed(1)} → ${late.toFixed(1)}`);
    }
  }

  print(write: (line: string) => void): void {
    write('\n     first     median    largest       last');
    for (const [name, values] of [...this.#series].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (values.length < SHORTEST_SERIES) continue;
      const figures = [values[0] ?? 0, median(values), Math.max(...values), values.at(-1) ?? 0];
      write(`${figures.map((figure) => figure.toFixed(1).padStart(10)).join(' ')}  ${name}`);
    }
  }

  #add(name: string, value: number): void {
    const values = this.#series.get(name) ?? [];
    values.push(value);
    this.#series.set(name, values);
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('audit.log'))
    .map((entry) => path.join(entry.parentPath, entry.name));
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}
