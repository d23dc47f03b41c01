import type { Fault } from '../fault.ts';
import { parseYaml, type YamlDocument } from './yaml-document.ts';
import { splitEntries, type WrittenEntries, type WrittenEntry } from './yaml-entries.ts';
import { PartReader } from './yaml-schema.ts';

/** The content of an entry, and the place where it begins. */
interface ReadEntry {
  /** The key of an entry of a map. */
  readonly key: string | undefined;
  readonly data: unknown;
  /** Counted from 1. */
  readonly line: number;
  readonly column: number | undefined;
}

const MIB = 1024 * 1024;

/**
 * Reads long YAML files repeatedly, and parses only the entries that are new, because parsing one takes fifty
 * times as long as to see that it is the same. It reads only valid files: a file with any fault must be read
 * as a whole by `openYaml`, which reports the fault.
 */
export class YamlEntryCache {
  #known = new Map<string, ReadEntry>();
  #used = new Map<string, ReadEntry>();

  /**
   * Returns undefined if there is a fault, or may be one. For a fault that the reader finds, it does not know
   * the exact place.
   */
  open(source: string, text: string, mostMiB = 1): PartReader | undefined {
    if (Buffer.byteLength(text) > mostMiB * MIB) return undefined;
    const split = splitEntries(text);
    if (split === undefined) return undefined;
    const frame = parseYaml(source, split.frame, mostMiB);
    if ('faults' in frame) return undefined;
    const data: Record<string, unknown> = Object.assign({}, frame.yaml.data);
    const places = new Map<string, readonly Fault[]>();
    for (const { key, kind, entries } of split.parts) {
      const read = this.#readAll({ key, kind, entries });
      if (read === undefined) return undefined;
      data[key] = kind === 'list' ? read.map((one) => one.data) : mapOf(read);
      if (data[key] === undefined) return undefined;
      places.set(key, placesOf(source, entries, read));
    }
    return new PartReader(documentOf(source, data, places));
  }

  /** Forgets the entries that were in none of the files. It must be called after all files were opened. */
  forget(): void {
    this.#known = this.#used;
    this.#used = new Map();
  }

  #readAll({ kind, entries }: WrittenEntries): readonly ReadEntry[] | undefined {
    const read: ReadEntry[] = [];
    for (const { text } of entries) {
      const one = this.#known.get(text) ?? this.#used.get(text) ?? readEntry(kind, text);
      if (one === undefined) return undefined;
      this.#used.set(text, one);
      read.push(one);
    }
    return read;
  }
}

function readEntry(kind: WrittenEntries['kind'], text: string): ReadEntry | undefined {
  const read = parseYaml('', text);
  if ('faults' in read) return undefined;
  const { data } = read.yaml;
  if (typeof data !== 'object' || data === null || Array.isArray(data) !== (kind === 'list'))
    return undefined;
  const [[key, value] = [], ...more] = Object.entries(data);
  if (key === undefined || more.length > 0) return undefined;
  const { line = 1, column } = read.yaml.faultAt([kind === 'list' ? 0 : key], '');
  return { key: kind === 'list' ? undefined : key, data: value, line, column };
}

/** Returns undefined if a key is repeated. */
function mapOf(read: readonly ReadEntry[]): Record<string, unknown> | undefined {
  // Object.fromEntries treats `__proto__` like any other key; an assignment would not.
  const map = Object.fromEntries(read.map(({ key, data }) => [key, data]));
  return Object.keys(map).length === read.length ? map : undefined;
}

function placesOf(source: string, entries: readonly WrittenEntry[], read: readonly ReadEntry[]): Fault[] {
  return read.map(({ line, column }, index) => {
    const begins = entries[index]?.line ?? 1;
    return { source, line: begins + line - 1, ...(column !== undefined && { column }), message: '' };
  });
}

function documentOf(
  source: string,
  data: unknown,
  places: ReadonlyMap<string, readonly Fault[]>,
): YamlDocument {
  return {
    data,
    faultAt: ([key, index, ...others], message) => {
      const place = others.length === 0 ? places.get(String(key))?.[Number(index)] : undefined;
      return { ...(place ?? { source }), message };
    },
    textAt: () => undefined,
  };
}
