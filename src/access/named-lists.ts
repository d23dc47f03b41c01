import { didYouMean, nearest } from '../platform/nearest.ts';
import type { PartReader } from '../platform/yaml/yaml-schema.ts';
import { type MEMBERS, NAMED, POLICY_KEYS } from './policy-schema.ts';
import { formatPlace, reportFault, type YamlPath } from './yaml-fault.ts';

/** The most names that one message lists. */
export const MOST_LISTED = 12;

/** The groups or sets of all files. */
export class NamedLists {
  readonly #what: string;
  readonly #entries = new Map<string, readonly string[]>();
  readonly #places = new Map<string, string>();
  #areKnown = true;

  constructor(what: string) {
    this.#what = what;
  }

  read(
    parts: PartReader,
    key: 'groups' | 'sets',
    schema: typeof MEMBERS,
    resolve: (text: string, path: YamlPath) => readonly string[],
  ): void {
    const before = parts.faults.length;
    const named = parts.read([key], NAMED) ?? {};
    if (parts.faults.length > before || isMisspelt(key, parts.yaml.data)) this.#areKnown = false;
    for (const name of Object.keys(named)) {
      const entries = parts.read([key, name], schema) ?? [];
      if (this.#entries.has(name))
        parts.fault(
          [key, name],
          `the ${this.#what} "${name}" stands at ${this.#places.get(name)} too; rename one, or write what both hold in one`,
          'key',
        );
      else this.#places.set(name, formatPlace(parts, [key, name], 'key'));
      this.#entries.set(
        name,
        entries.flatMap((text, index) => resolve(text, [key, name, index])),
      );
    }
  }

  get(name: string): readonly string[] | undefined {
    return this.#entries.get(name);
  }

  /**
   * True if a name can be called missing. It cannot if the key above the names is wrong, because that is
   * reported instead.
   */
  get areKnown(): boolean {
    return this.#areKnown;
  }

  /**
   * Returns the message that no entry has this name, with the names that exist. `sign` is the prefix of a
   * name.
   */
  missing(name: string, sign: string): string {
    const known = [...this.#entries.keys()];
    const meant = didYouMean(name, known, (near) => `${sign}${near}`);
    const more = known.length > MOST_LISTED ? ', …' : '';
    const listed =
      known.length === 0 ? '; there is none' : `; there are ${known.slice(0, MOST_LISTED).join(', ')}${more}`;
    return `there is no ${this.#what} "${name}"${meant === '' ? listed : meant}`;
  }

  all(): Record<string, readonly string[]> {
    return Object.fromEntries(this.#entries);
  }
}

/** Reports that no entry has this name, unless something else is wrong with the names. */
export function reportMissing(
  parts: PartReader,
  path: YamlPath,
  names: NamedLists,
  name: string,
  sign: string,
): [] {
  return names.areKnown ? reportFault(parts, path, names.missing(name, sign)) : [];
}

/** True if the policy has another key in its place. */
function isMisspelt(key: string, data: unknown): boolean {
  return Object.keys(Object(data)).some(
    (other) => !(other in POLICY_KEYS.shape) && nearest(other.toLowerCase(), [key]) === key,
  );
}
