import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describeMachine, type Machine } from './machine.ts';

/** The result of one measurement: numbers by name, with their unit in the name. */
export type Sample = Readonly<Record<string, number>>;

export interface Row {
  readonly case: string;
  readonly server: string;
  /** One sample for each round. */
  readonly samples: readonly Sample[];
}

export interface GroupResult {
  readonly group: string;
  readonly title: string;
  /** The time in ISO 8601. */
  readonly at: string;
  readonly quick: boolean;
  readonly rounds: number;
  /** The duration of the group; older results do not have it. */
  readonly seconds?: number;
  readonly machine: Machine;
  readonly rows: readonly Row[];
}

export class Rows {
  readonly #rows = new Map<string, { case: string; server: string; samples: Sample[] }>();

  add(what: string, server: string, sample: Sample): void {
    const key = `${what}\0${server}`;
    const row = this.#rows.get(key) ?? { case: what, server, samples: [] };
    this.#rows.set(key, row);
    row.samples.push(sample);
  }

  all(): Row[] {
    return [...this.#rows.values()];
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Returns the median of every number that a row has. */
export function medians({ samples }: Row): Map<string, number> {
  const names = new Set(samples.flatMap((sample) => Object.keys(sample)));
  return new Map(
    [...names].map((name) => [name, median(samples.flatMap((sample) => sample[name] ?? []))] as const),
  );
}

/** A group that has measured nothing, because it lacks a server, keeps its earlier result. */
export async function writeResult(
  directory: string,
  result: Omit<GroupResult, 'machine' | 'at'>,
): Promise<void> {
  if (result.rows.length === 0) return;
  await mkdir(directory, { recursive: true });
  const whole: GroupResult = { ...result, at: new Date().toISOString(), machine: await describeMachine() };
  await writeFile(path.join(directory, `${result.group}.json`), `${JSON.stringify(whole, null, 2)}\n`);
}

export async function readResults(directory: string): Promise<GroupResult[]> {
  const files = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith('.json')).sort();
  return Promise.all(
    files.map(async (name) => JSON.parse(await readFile(path.join(directory, name), 'utf8'))),
  );
}
