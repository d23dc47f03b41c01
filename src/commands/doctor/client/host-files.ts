import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'smol-toml';
import { reasonOf } from '../../../platform/reason.ts';

/**
 * Reads the files of a client host below `root`. File names are absolute, as the host's programs know them.
 */
export class HostFiles {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async has(...files: readonly string[]): Promise<boolean> {
    const found = await Promise.all(files.map((file) => stat(this.#at(file)).catch(orAbsent)));
    return found.some((stats) => stats !== undefined);
  }

  /** Returns undefined if there is no such file. */
  text(file: string): Promise<string | undefined> {
    return readFile(this.#at(file), 'utf8').catch(orAbsent);
  }

  async names(directory: string): Promise<readonly string[]> {
    return ((await readdir(this.#at(directory)).catch(orAbsent)) ?? []).sort();
  }

  /** Returns the texts of the files in a directory whose names end in `end`. */
  async texts(directory: string, end: string): Promise<readonly string[]> {
    const names = (await this.names(directory)).filter((name) => name.endsWith(end));
    const texts = await Promise.all(names.map((name) => this.text(path.join(directory, name))));
    return texts.filter((text) => text !== undefined);
  }

  /** The settings are empty if there is no file. @throws UnreadableSettings */
  json(file: string): Promise<Settings> {
    return this.#settings(file, (text) => new Settings(JSON.parse(text)));
  }

  /** The settings are empty if there is no file. @throws UnreadableSettings */
  toml(file: string): Promise<Settings> {
    return this.#settings(file, (text) => new Settings(parse(text)));
  }

  async #settings(file: string, read: (text: string) => Settings): Promise<Settings> {
    const text = (await this.text(file)) ?? '';
    try {
      return text.trim() === '' ? new Settings({}) : read(text);
    } catch (error) {
      throw new UnreadableSettings(file, reasonOf(error).split('\n', 1)[0] ?? '');
    }
  }

  #at(file: string): string {
    return path.join(this.#root, file);
  }
}

/** Thrown if a configuration file cannot be parsed. */
export class UnreadableSettings extends Error {
  override readonly name = 'UnreadableSettings';
  readonly file: string;

  constructor(file: string, message: string) {
    super(message);
    this.file = file;
  }
}

/** The configuration of another program, of which no key or type is certain. */
export class Settings {
  readonly #value: unknown;

  constructor(value: unknown) {
    this.#value = value;
  }

  get value(): unknown {
    return this.#value;
  }

  at(...keys: readonly string[]): Settings {
    const value = keys.reduce<unknown>(
      (inner, key) => (isMap(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined),
      this.#value,
    );
    return new Settings(value);
  }

  get entries(): readonly (readonly [string, Settings])[] {
    const map = isMap(this.#value) ? Object.entries(this.#value) : [];
    return map.map(([key, value]) => [key, new Settings(value)]);
  }

  /** Returns the elements of a list. A single value is a list of one, as these formats often allow. */
  get list(): readonly Settings[] {
    if (this.#value === undefined) return [];
    return (Array.isArray(this.#value) ? this.#value : [this.#value]).map((value) => new Settings(value));
  }

  get text(): string | undefined {
    return typeof this.#value === 'string' ? this.#value : undefined;
  }

  get texts(): readonly string[] {
    return this.list.flatMap(({ text }) => text ?? []);
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function orAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
  return undefined;
}
