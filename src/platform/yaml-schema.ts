import { z } from 'zod';
import { byPosition, type Fault, type Parsed } from './fault.ts';
import { readYaml, type WritableYaml, type YamlDocument } from './yaml-document.ts';

/**
 * A map with exactly these keys. Its messages, and those of all schemas read here, say only what was expected: what
 * was found, and where, is added from the document.
 */
export function section<Shape extends z.core.$ZodLooseShape>(
  shape: Shape,
): z.ZodObject<Shape, z.core.$strict> {
  const keys = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? `known here: ${keys}` : `a map with the keys ${keys}`,
  });
}

/** `x` or a list of `x`, as a list. */
export function oneOrMany<Item extends z.ZodType>(item: Item) {
  return z.preprocess(
    (value) => (Array.isArray(value) ? value : [value]),
    z.array(item).min(1, 'at least one entry'),
  );
}

/**
 * Reads the parts of a document one by one, so that what is wrong with one of them does not hide what is wrong with
 * another. `faults` collects everything that was said.
 */
export class PartReader<Yaml extends YamlDocument = YamlDocument> {
  readonly faults: Fault[] = [];
  readonly yaml: Yaml;

  constructor(yaml: Yaml) {
    this.yaml = yaml;
  }

  /** What stands at `path`, or undefined after a fault. */
  read<Schema extends z.ZodType>(path: readonly PropertyKey[], schema: Schema): z.output<Schema> | undefined {
    const value = valueAt(this.yaml.data, path);
    const result = schema.safeParse(path.length === 0 ? (value ?? {}) : value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) {
      this.faults.push(...faultsOf({ ...issue, path: [...path, ...issue.path] }, this.yaml));
    }
    return undefined;
  }

  fault(path: readonly PropertyKey[], message: string, at: 'key' | 'value' = 'value'): void {
    this.faults.push(this.yaml.faultAt(path, message, at));
  }

  /** `value`, unless there were faults. */
  result<T>(value: T): Parsed<T> {
    return this.faults.length > 0 ? { faults: this.faults.toSorted(byPosition) } : { value };
  }
}

/** Opens YAML text for reading in parts; or says why it is no YAML that may be read. */
export function openYaml(source: string, text: string, mostMiB?: number): Parsed<PartReader<WritableYaml>> {
  const read = readYaml(source, text, mostMiB);
  return 'faults' in read ? read : { value: new PartReader(read.yaml) };
}

function faultsOf(issue: z.core.$ZodIssue, yaml: YamlDocument): Fault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      // What does not look like a key can be a piece of a secret that a comma or a colon has split.
      const name = /^[\w-]{1,40}$/.test(key) ? writePath(path) : `${writePath(issue.path)}…`;
      return yaml.faultAt(path, `unknown key "${name}"; ${issue.message}`, 'key');
    });
  }
  const path = pathInText(yaml.data, issue.path);
  const found = valueAt(yaml.data, path);
  const where = writePath(path);
  const message =
    found === undefined
      ? `"${where}" is missing; expected ${issue.message}`
      : `${where === '' ? '' : `${where}: `}found ${show(found, path)}, expected ${issue.message}${isSecret(path) ? '' : mendOf(issue, found, yaml.textAt(path))}`;
  return [yaml.faultAt(path, message)];
}

/** YAML makes numbers and truth values of texts that look like them. */
function mendOf(issue: z.core.$ZodIssue, found: unknown, written: string | undefined): string {
  const isMistaken = typeof found === 'number' || typeof found === 'boolean';
  return isMistaken && issue.code === 'invalid_type' && issue.expected === 'string'
    ? `; to mean a text, quote it: "${written ?? found}"`
    : '';
}

/** `oneOrMany` made a list of what may be a scalar in the text: that has no element 0 there. */
function pathInText(data: unknown, path: readonly PropertyKey[]): readonly PropertyKey[] {
  const parent = path.slice(0, -1);
  return path.at(-1) === 0 && !Array.isArray(valueAt(data, parent)) ? parent : path;
}

function writePath(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '');
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], data);
}

function isSecret(path: readonly PropertyKey[]): boolean {
  return path.at(-1) === 'password';
}

/** What was found, short; nothing at all of a value under a key that can hold a secret. */
function show(value: unknown, path: readonly PropertyKey[]): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (isSecret(path)) return 'something else';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
