import { readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import type { Fault, Parsed } from '../platform/fault.ts';
import { asError, reasonOf } from '../platform/reason.ts';
import { isAbsent, readNamedFile, readRegularFile, whileAnswering } from '../platform/regular-file.ts';
import { ABSENT, stateOfFile } from '../platform/watched-files.ts';
import type { PolicyContext } from './policy-context.ts';
import { type PolicySource, parsePolicy, type ReadPolicy } from './policy-file.ts';

/** The limit in bytes. A larger file is not read at all. */
const MAX_SIZE = 1024 * 1024;
/** The most attempts to read the files if they change meanwhile. */
const ATTEMPTS = 5;

/** Returns the directory beside `access.yaml` whose files are read with it: `access.d`. */
export function directoryOf(file: string): string {
  return path.join(path.dirname(file), `${path.basename(file, '.yaml')}.d`);
}

/** Describes the files of a policy at this moment: their names, their real paths, and the state of each. */
export async function stateOfPolicy(file: string): Promise<string> {
  return formatState(await look(file));
}

/**
 * One file of a policy and the path to which its symbolic links lead; or the directory, if it cannot be
 * listed.
 */
interface FoundPolicy {
  readonly file: string;
  readonly real: string;
  readonly state: string;
  /** The reason for which it cannot be listed. */
  readonly problem?: string;
}

async function look(file: string): Promise<readonly FoundPolicy[]> {
  const directory = directoryOf(file);
  const [listed, state] = await Promise.all([list(directory), stateOfFile(file)]);
  const own = state === ABSENT ? [] : [file];
  const files = [...own, ...(listed instanceof Error ? [] : listed.names)];
  const found = await Promise.all(
    files.map(async (one): Promise<FoundPolicy> => {
      const isListed = !(listed instanceof Error) && one !== file;
      const real = await realPath(isListed ? path.join(listed.real, path.basename(one)) : one);
      return { file: one, real, state: await stateOfFile(real) };
    }),
  );
  if (!(listed instanceof Error)) return found;
  const problem = `cannot be read: ${listed.message}`;
  return [...found, { file: directory, real: directory, state: problem, problem }];
}

function realPath(file: string): Promise<string> {
  return whileAnswering(file, () => realpath(file)).catch(() => file);
}

function formatState(found: readonly FoundPolicy[]): string {
  return found.map(({ file, real, state }) => `${file} ${real} ${state}`).join('\n');
}

/**
 * Reads the policy from `file` and the files in the directory beside it, as one policy, and runs its tests.
 * Files that change while they are read are not used.
 */
export async function readPolicy(
  file: string,
  now: number,
  context: PolicyContext,
): Promise<Parsed<ReadPolicy>> {
  const sources = await readSources(file);
  return 'faults' in sources ? sources : parsePolicy(sources.value, now, context);
}

/** Returns the texts of the files of a policy, all from the same moment. */
export async function readSources(file: string): Promise<Parsed<readonly PolicySource[]>> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    // All files are read from the paths where they were at one moment, so that a link that is replaced and
    // restored meanwhile mixes nothing.
    const before = await look(file);
    if (before.length === 0)
      return fault(file, 'there is no policy; the first `hubgate start` puts the default one here');
    const sources = await readFound(before, path.dirname(file));
    if (formatState(await look(file)) === formatState(before)) return sources;
  }
  return fault(file, 'the policy changes again and again while it is read');
}

/** Returns the texts of files that were named on a command line. Their labels are relative to `root`. */
export function readFiles(files: readonly string[], root: string): Promise<Parsed<readonly PolicySource[]>> {
  return readFound(
    files.map((file) => ({ file, real: file })),
    root,
    readNamedFile,
  );
}

async function readFound(
  found: readonly Omit<FoundPolicy, 'state'>[],
  root: string,
  readFile = readRegularFile,
): Promise<Parsed<readonly PolicySource[]>> {
  const read = await Promise.all(found.map((one) => readSource(one, root, readFile)));
  const faults = read.flatMap((one): Fault[] => ('message' in one ? [one] : []));
  return faults.length > 0 ? { faults } : { value: read.flatMap((one) => ('text' in one ? [one] : [])) };
}

/**
 * Lists the files in the directory, which may be absent, and the path to which the directory's own links
 * lead. Returns an error if the directory exists and cannot be listed. Links are followed once, so that all
 * files are from one directory even if a link is replaced meanwhile.
 */
async function list(
  directory: string,
): Promise<{ readonly real: string; readonly names: readonly string[] } | Error> {
  try {
    const real = await whileAnswering(directory, () => realpath(directory));
    const names = await whileAnswering(directory, () => readdir(real));
    const files = names.filter((name) => !name.startsWith('.') && /\.ya?ml$/.test(name)).sort();
    return { real, names: files.map((name) => path.join(directory, name)) };
  } catch (error) {
    return (await isAbsent(directory, error)) ? { real: directory, names: [] } : asError(error);
  }
}

async function readSource(
  { file, real, problem }: Omit<FoundPolicy, 'state'>,
  root: string,
  readFile: typeof readRegularFile,
): Promise<PolicySource | Fault> {
  if (problem !== undefined) return { source: file, message: problem };
  if (file.endsWith('.yml')) return { source: file, message: 'is not read; its name must end in .yaml' };
  try {
    const text = (await readFile(real, MAX_SIZE)).toString('utf8');
    return { source: file, label: path.relative(root, file), text };
  } catch (error) {
    return { source: file, message: `cannot be read: ${reasonOf(error)}` };
  }
}

function fault(source: string, message: string): { readonly faults: readonly Fault[] } {
  return { faults: [{ source, message }] };
}
