import { z } from 'zod';
import { byPosition, type Fault, type Parsed } from '../fault.ts';
import { nearest } from '../nearest.ts';
import { propertyOf } from '../object-properties.ts';
import { parseYaml, type WritableYaml, type YamlDocument } from './yaml-document.ts';

/** Words that people write instead of a key, with the key that they mean or a sentence about it. */
export type OtherNames = Readonly<Record<string, string>>;

/**
 * Makes a schema for a map with exactly these keys. Its messages, and those of all schemas that are read
 * here, say only what was expected: what was found, and where, is added from the document.
 */
export function section<Shape extends z.core.$ZodLooseShape>(
  shape: Shape,
  otherNames: OtherNames = {},
): z.ZodObject<Shape, z.core.$strict> {
  const keys = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? hintsFor(issue.keys, keys, otherNames)
        : `a map with the keys ${keys.join(', ')}`,
  });
}

/** A message is one text, so it contains one line for each unknown key. */
function hintsFor(unknown: readonly string[], known: readonly string[], otherNames: OtherNames): string {
  return unknown.map((key) => hintFor(key, known, otherNames)).join('\n');
}

function hintFor(key: string, known: readonly string[], otherNames: OtherNames): string {
  const [, word = ''] = /^([\w-]+)\s*[:=]/.exec(key) ?? [];
  if (known.includes(word)) return `write "${word}:", a space, and then its value`;
  const other = Object.hasOwn(otherNames, key) ? otherNames[key] : nearest(key.toLowerCase(), known);
  if (other === undefined) return `known here: ${known.join(', ')}`;
  return known.includes(other) ? `did you mean "${other}"?` : other;
}

/** Accepts `x` or a list of `x`, and returns a list. */
export function oneOrMany<Item extends z.ZodType>(item: Item) {
  return z.preprocess(
    (value) => (Array.isArray(value) ? value : [value]),
    z.array(item).min(1, 'at least one entry'),
  );
}

/**
 * Adds to the schema that a list of one element may be written as the element alone. The reader makes it a
 * list before it validates, which JSON Schema cannot express.
 */
export function oneOrManyJson({
  zodSchema,
  jsonSchema,
}: {
  zodSchema: z.core.$ZodType;
  jsonSchema: z.core.JSONSchema.JSONSchema;
}) {
  const { def } = zodSchema._zod as { readonly def: z.core.$ZodTypeDef & { readonly in?: z.core.$ZodType } };
  const { items, minItems } = jsonSchema;
  if (def.in?._zod.def.type !== 'transform' || items === undefined) return;
  delete jsonSchema.type;
  delete jsonSchema.items;
  delete jsonSchema.minItems;
  jsonSchema.anyOf = [
    items as z.core.JSONSchema.JSONSchema,
    { type: 'array', items, ...(minItems !== undefined && { minItems }) },
  ];
}

/**
 * Reads the parts of a document one by one, so that a mistake in one of them does not hide a mistake in
 * another. `faults` collects all of them.
 */
export class PartReader<Yaml extends YamlDocument = YamlDocument> {
  readonly faults: Fault[] = [];
  readonly yaml: Yaml;

  constructor(yaml: Yaml) {
    this.yaml = yaml;
  }

  /** Returns the value at `path`, or undefined after a fault. */
  read<Schema extends z.ZodType>(path: readonly PropertyKey[], schema: Schema): z.output<Schema> | undefined {
    const value = valueAt(this.yaml.data, path);
    const result = schema.safeParse(path.length === 0 ? (value ?? {}) : value);
    if (result.success) return result.data;
    const { issues } = result.error;
    const accepts = (changed: unknown, at: readonly PropertyKey[]) =>
      isAccepted(schema.safeParse(changed), at);
    const said = new Set<string>();
    for (const issue of issues) {
      const where = `${issue.code === 'unrecognized_keys'} ${issue.path.map(String).join('\0')}`;
      if (said.has(where) || isMisspelt(issue, issues, value)) continue;
      said.add(where);
      const at = pathInText(value, issue.path);
      const suggestion = meantInstead(at, value, this.yaml.textAt([...path, ...at]), accepts);
      this.faults.push(...faultsOf({ ...issue, path: [...path, ...issue.path] }, this.yaml, suggestion));
    }
    return undefined;
  }

  fault(path: readonly PropertyKey[], message: string, at: 'key' | 'value' = 'value'): void {
    this.faults.push(this.yaml.faultAt(path, message, at));
  }

  /** Returns `value`, or the faults if there are any. */
  result<T>(value: T): Parsed<T> {
    return this.faults.length > 0 ? { faults: this.faults.toSorted(byPosition) } : { value };
  }
}

/** Parses YAML text to be read in parts, or returns why it is not valid. */
export function openYaml(source: string, text: string, mostMiB?: number): Parsed<PartReader<WritableYaml>> {
  const read = parseYaml(source, text, mostMiB);
  return 'faults' in read ? read : { value: new PartReader(read.yaml) };
}

/** True if a missing key is misspelt. The message about the unknown key then covers it. */
function isMisspelt(
  { path, code }: z.core.$ZodIssue,
  issues: readonly z.core.$ZodIssue[],
  value: unknown,
): boolean {
  // A list of one element may be written as a scalar.
  const missing = path.at(-1) === 0 ? path.slice(0, -1) : path;
  if (code === 'unrecognized_keys' || valueAt(value, missing) !== undefined) return false;
  const key = missing.at(-1);
  return issues.some(
    (other) => other.code === 'unrecognized_keys' && other.message.includes(`"${String(key)}`),
  );
}

function faultsOf(issue: z.core.$ZodIssue, yaml: YamlDocument, suggestion: string): Fault[] {
  if (issue.code === 'unrecognized_keys') {
    const hints = issue.message.split('\n');
    return issue.keys.map((key, index) => {
      const path = [...issue.path, key];
      const { keys, of } = placeOf(path, yaml.data);
      // A text that does not look like a key can be a piece of a secret that a comma or a colon has split.
      const displayed = /^[\w-]{1,40}$/.test(key) ? keys.join('.') : `${keys.slice(0, -1).join('.')}…`;
      return yaml.faultAt(path, `unknown key "${displayed}"${of}; ${hints[index]}`, 'key');
    });
  }
  const path = pathInText(yaml.data, issue.path);
  const found = valueAt(yaml.data, path);
  const { keys, of } = placeOf(path, yaml.data);
  const where = keys.length === 0 ? of.slice(OF.length) : `${keys.join('.')}${of}`;
  const message =
    found === undefined
      ? `"${keys.join('.')}"${of} is missing; expected ${issue.message}`
      : `${where === '' ? '' : `${where}: `}found ${show(found, path)}, expected ${issue.message}${isSecret(path) ? '' : suggestion}`;
  return [yaml.faultAt(path, message)];
}

/** Returns what the author may have meant, if the schema accepts it there. */
function meantInstead(
  path: readonly PropertyKey[],
  value: unknown,
  written: string | undefined,
  accepts: (changed: unknown, at: readonly PropertyKey[]) => boolean,
): string {
  const found = valueAt(value, path);
  if (typeof found !== 'number' && typeof found !== 'boolean' && typeof found !== 'string') return '';
  const text = written ?? String(found);
  const isAccepted = (one: unknown) => accepts(withValueAt(value, path, one), path);
  if (typeof found !== 'string' && isAccepted(text)) return `; to mean a text, quote it: "${text}"`;
  if (text === '') return '';
  const meant = meantBy(text).find((one) => one !== found && isAccepted(one));
  if (meant === undefined) return isAccepted([text]) ? `; write [${text}]` : '';
  return `; write ${typeof meant === 'string' && !/^[A-Za-z0-9]/.test(meant) ? `"${meant}"` : meant}`;
}

const UNITS = 'seconds?|secs?|minutes?|mins?|hours?|hrs?|days?';
const TRUTHS: Readonly<Record<string, boolean>> = {
  yes: true,
  on: true,
  true: true,
  no: false,
  off: false,
  false: false,
};

/**
 * Returns possible meanings of a text in another form: its unit is missing, or is written as in other
 * programs.
 */
function meantBy(text: string): (string | boolean)[] {
  const plain = text.trim().slice(0, 200);
  const short = plain.replaceAll(' ', '').toLowerCase();
  const truth = TRUTHS[short];
  const url = URL.parse(/^[a-z]+:\/\//i.test(plain) ? plain : `https://${plain}`);
  return [
    ...(truth === undefined ? [] : [truth]),
    ...(truth === false || short === '0' || short === 'none' ? ['off'] : []),
    short,
    short.replace(new RegExp(`^(\\d+)(?:${UNITS})$`), (_, count: string) => count + unitOf(short)),
    short.replace(
      /^(\d+)([kmgt])i?b?$/,
      (_, count: string, unit: string) => `${count}${unit.toUpperCase()}iB`,
    ),
    `:${plain}`,
    `${plain}s`,
    `${plain}GiB`,
    `${plain}MiB`,
    ...(url === null || url.search !== '' || url.username !== '' ? [] : [url.origin, `https://${url.host}`]),
  ];
}

function unitOf(text: string): string {
  return /[a-z]/.exec(text)?.[0] ?? 's';
}

function isAccepted(result: z.ZodSafeParseResult<unknown>, at: readonly PropertyKey[]): boolean {
  const isThere = (path: readonly PropertyKey[]) => at.every((key, index) => path[index] === key);
  return result.success || !result.error.issues.some(({ path }) => isThere(path));
}

function withValueAt(data: unknown, path: readonly PropertyKey[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  if (Array.isArray(data))
    return data.map((one, index) => (index === key ? withValueAt(one, rest, value) : one));
  return { ...Object(data), [key]: withValueAt(propertyOf(data, key), rest, value) };
}

/**
 * Returns the path in the text. `oneOrMany` may have made a list of a scalar, which has no element 0 in the
 * text.
 */
function pathInText(data: unknown, path: readonly PropertyKey[]): readonly PropertyKey[] {
  const parent = path.slice(0, -1);
  return path.at(-1) === 0 && !Array.isArray(valueAt(data, parent)) ? parent : path;
}

const OF = ' of ';
/** Matches an id that a message may repeat. */
const ID = /^[\w.-]{1,64}$/;

/** The names of the entries with an id in lists whose entries are not rules. */
const ENTRY_NAMES: Readonly<Record<string, string>> = { limits: 'limit', reserve: 'reserve' };

/**
 * Describes a path as people look for it: its last keys, and the list entry that contains them. A rule has an
 * id; other entries are counted from 1.
 */
function placeOf(
  path: readonly PropertyKey[],
  data: unknown,
): { readonly keys: readonly string[]; readonly of: string } {
  let keys: string[] = [];
  let of = '';
  for (const [depth, key] of path.entries()) {
    if (typeof key !== 'number') {
      keys.push(String(key));
      continue;
    }
    const id = propertyOf(valueAt(data, path.slice(0, depth + 1)), 'id');
    of =
      typeof id === 'string' && ID.test(id)
        ? `${OF}${ENTRY_NAMES[String(path[depth - 1])] ?? 'rule'} "${id}"`
        : `${OF}entry ${key + 1}${keys.length === 0 ? '' : OF}${keys.join('.')}${of}`;
    keys = [];
  }
  return { keys, of };
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce(propertyOf, data);
}

function isSecret(path: readonly PropertyKey[]): boolean {
  return path.at(-1) === 'password' || path.at(-1) === 'proxy';
}

/** Describes a found value briefly. It says nothing about a value under a key that can contain a secret. */
function show(value: unknown, path: readonly PropertyKey[]): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (isSecret(path)) return 'something else';
  // A URL may contain a password.
  const text = JSON.stringify(value).replace(/(\/\/[^/:@]*):[^/@]*@/, '$1:…@');
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
