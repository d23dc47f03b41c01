import type { Fault } from './fault.ts';
import { readYaml, type YamlDocument } from './yaml-document.ts';
import { tellApart, type WrittenEntries, type WrittenEntry } from './yaml-entries.ts';
import { PartReader } from './yaml-schema.ts';

/** What an entry says, and where in it that begins. */
interface ReadEntry {
  /** Of a map's. */
  readonly key: string | undefined;
  readonly data: unknown;
  /** Counted from 1. */
  readonly line: number;
  readonly column: number | undefined;
}

const MIB = 1024 * 1024;

/**
 * Reads long YAML files again and again, and of each only the entries that were not in it before: reading one takes fifty
 * times as long as to see that it is the same. It reads what is as it should be, and nothing else: a file with anything
 * wrong is to be read as a whole, by `openYaml`, which says what.
 */
export class RememberedYaml {
  #known = new Map<string, ReadEntry>();
  #used = new Map<string, ReadEntry>();

  /** Undefined where there is a fault, or may be one. Of what the reader finds wrong the place is not known. */
  open(source: string, text: string, mostMiB = 1): PartReader | undefined {
    if (Buffer.byteLength(text) > mostMiB * MIB) return undefined;
    const told = tellApart(text);
    if (told === undefined) return undefined;
    const frame = readYaml(source, told.frame, mostMiB);
    if ('faults' in frame) return undefined;
    const data = { ...(frame.yaml.data as Record<string, unknown>) };
    const places = new Map<string, readonly Fault[]>();
    for (const { key, kind, entries } of told.parts) {
      const read = this.#readAll({ key, kind, entries });
      if (read === undefined) return undefined;
      data[key] = kind === 'list' ? read.map((one) => one.data) : mapOf(read);
      if (data[key] === undefined) return undefined;
      places.set(key, placesOf(source, entries, read));
    }
    return new PartReader(documentOf(source, data, places));
  }

  /** To be called when all files were opened: what was in none of them is forgotten. */
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
  const read = readYaml('', text);
  if ('faults' in read) return undefined;
  const { data } = read.yaml;
  if (typeof data !== 'object' || data === null || Array.isArray(data) !== (kind === 'list'))
    return undefined;
  const [[key, value] = [], ...more] = Object.entries(data);
  if (key === undefined || more.length > 0) return undefined;
  const { line = 1, column } = read.yaml.faultAt([kind === 'list' ? 0 : key], '');
  return { key: kind === 'list' ? undefined : key, data: value, line, column };
}

/** Undefined where a key stands there twice. */
function mapOf(read: readonly ReadEntry[]): Record<string, unknown> | undefined {
  // Not by assignment, for which `__proto__` is no key like others.
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
