import { type HtpasswdUser, parseHtpasswd } from '../auth/identity/htpasswd.ts';
import { parseStaticUsers } from '../auth/identity/static-users.ts';
import { editUsers, type UserEdits, type Users } from '../auth/identity/users-file.ts';
import { pathsIn } from '../config/home.ts';
import { printFaults } from '../launch/load.ts';
import { type ExitCode, printLine, type Terminal } from '../launch/terminal.ts';
import { type Fault, FaultsError } from '../platform/fault.ts';
import { reasonOf } from '../platform/reason.ts';
import { readNamedFile } from '../platform/regular-file.ts';

/** The limit in bytes. */
const MOST = 8 * 2 ** 20;

/**
 * Imports the users of an htpasswd file, or of docker_auth's configuration, with their hashes unchanged.
 * Lines with a mistake are named and skipped.
 */
export async function importUsers(
  file: string,
  { home }: { readonly home: string },
  terminal: Terminal,
): Promise<ExitCode> {
  const bytes = await readNamedFile(file, MOST).catch((error: Error) => error);
  if (bytes instanceof Error)
    return refuse([{ source: file, message: `cannot be read: ${reasonOf(bytes)}` }], terminal);
  const text = bytes.toString('utf8');
  const { value, faults = [] } = parseStaticUsers(file, text) ?? parseHtpasswd(file, text);
  let conflicts: readonly Fault[] = [];
  let added: UserEdits = new Map();
  try {
    await editUsers(pathsIn(home).users, (users) => {
      conflicts = value.flatMap((user) => conflictOf(user, users, file));
      const missing = value.filter(({ name }) => !users.has(name));
      added = new Map(missing.map(({ name, hash }) => [name, { passwordHash: hash }]));
      return added;
    });
  } catch (error) {
    if (!(error instanceof FaultsError)) throw error;
    return refuse(error.faults, terminal);
  }
  const wrong = [...faults, ...conflicts].toSorted((one, other) => (one.line ?? 0) - (other.line ?? 0));
  printFaults(wrong, terminal);
  const before = value.length - conflicts.length - added.size;
  const counts = [
    `users imported: ${added.size}`,
    ...(before > 0 ? [`${before} there already`] : []),
    ...(wrong.length > 0 ? [`left out: ${wrong.length}`] : []),
  ];
  printLine(terminal.stdout, `${counts.join(', ')}; each is hashed anew at its next right login`);
  return wrong.length > 0 ? 1 : 0;
}

function conflictOf({ name, hash, line }: HtpasswdUser, users: Users, source: string): Fault[] {
  const known = users.get(name);
  if (known === undefined || known.passwordHash === hash) return [];
  return [
    {
      source,
      line,
      message: `${name} is there already, with another password, or none; remove one of the two`,
    },
  ];
}

function refuse(faults: readonly Fault[], terminal: Terminal): ExitCode {
  printFaults(faults, terminal);
  printLine(terminal.stderr, 'hubgate: nothing is imported');
  return 2;
}
