/** The users and the policy as documents that the nodes of a cluster share. */
import { access, constants, mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { directoryOf, readSources } from '../access/load-policy.ts';
import type { DocumentCopy } from '../cluster/shared-document.ts';
import { behindLinks, writeFileAtomically } from '../platform/atomic-file.ts';
import type { Clock } from '../platform/clock.ts';
import { withFileLock } from '../platform/file-lock.ts';
import { readIfPresent } from '../platform/regular-file.ts';
import { mergeUsers, parseUsers } from './identity/users-file.ts';
import { MAX_USERS_MIB } from './limits.ts';

/** The copy of the users in `file`. Edits of different users on different nodes are combined. */
export function usersCopy(file: string, clock: Clock): DocumentCopy {
  return {
    read: async () => (await readIfPresent(file, MAX_USERS_MIB * 2 ** 20))?.toString('utf8'),
    write: (text) => writeFileAtomically(file, text, 0o600),
    isValid: async (text) => 'value' in parseUsers(file, text),
    merge: mergeUsers,
    keepAside: (text) => keepBeside(file, text, clock),
    exclusively: async (task) => {
      const target = await behindLinks(file);
      // In a directory that cannot be written, no command edits the file, and no lock can be made.
      return (await canWriteIn(path.dirname(target))) ? withFileLock(target, task) : task();
    },
  };
}

function canWriteIn(directory: string): Promise<boolean> {
  return access(directory, constants.W_OK).then(
    () => true,
    () => false,
  );
}

/** The texts of the files of a policy by their names below its directory. */
const BUNDLE = z.record(z.string().regex(/^[^/]+(?:\/[^/.][^/]*\.yaml)?$/), z.string());

export interface PolicyCopyOptions {
  readonly file: string;
  /** True if the files as they are now are in force. */
  readonly isInForce: () => Promise<boolean>;
  readonly clock: Clock;
}

/** The copy of the policy in `file` and in the directory beside it, which are one document. */
export function policyCopy({ file, isInForce, clock }: PolicyCopyOptions): DocumentCopy {
  const root = path.dirname(file);
  const read = async () => {
    const sources = await readSources(file);
    if ('faults' in sources || sources.value.length === 0) return undefined;
    const entries = sources.value.map((source) => [path.relative(root, source.source), source.text]);
    return JSON.stringify(Object.fromEntries(entries.toSorted()));
  };
  return {
    read,
    write: (text) => writePolicy(file, BUNDLE.parse(JSON.parse(text))),
    isValid: async (text) => (await isInForce()) && (await read()) === text,
    merge: () => undefined,
    keepAside: (text) => keepBeside(file, text, clock),
    exclusively: (task) => task(),
  };
}

/** All files are replaced at the end and at once, so that nobody reads half of a version. */
async function writePolicy(file: string, bundle: Readonly<Record<string, string>>): Promise<void> {
  const foreign = Object.keys(bundle).find((name) => !isOfPolicy(name, file));
  if (foreign !== undefined) throw new Error(`${foreign} is no file of the policy ${file}`);
  const root = path.dirname(file);
  const directory = directoryOf(file);
  await mkdir(directory, { recursive: true });
  const before = await readSources(file);
  const had = 'faults' in before ? [] : before.value.map(({ source }) => path.relative(root, source));
  const changed: string[] = [];
  for (const [name, text] of Object.entries(bundle)) {
    const target = await behindLinks(path.join(root, name));
    if ((await readFile(target, 'utf8').catch(() => undefined)) === text) continue;
    await writeFile(`${target}.tmp`, text, { mode: 0o640 });
    changed.push(target);
  }
  const surplus = had.filter((name) => !Object.hasOwn(bundle, name));
  await Promise.all([
    ...changed.map((target) => rename(`${target}.tmp`, target)),
    ...surplus.map((name) => unlink(path.join(root, name))),
  ]);
}

/** No document may reach any other file of this node. */
function isOfPolicy(name: string, file: string): boolean {
  const target = path.join(path.dirname(file), name);
  const isAt = (one: string, other: string) => path.relative(one, other) === '';
  return isAt(target, file) || isAt(path.dirname(target), directoryOf(file));
}

async function keepBeside(file: string, text: string, clock: Clock): Promise<string> {
  const kept = `${file}.conflict-${new Date(clock()).toISOString().replaceAll(':', '')}`;
  await writeFileAtomically(kept, text, 0o600);
  return kept;
}
