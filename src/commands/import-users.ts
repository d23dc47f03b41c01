import { type HtpasswdUser, parseHtpasswd } from '../auth/identity/htpasswd.ts';
import { parseStaticUsers } from '../auth/identity/static-users.ts';
import { editUsers, type UserEdits, type Users } from '../auth/identity/users-file.ts';
import { type Fault, FaultsError } from '../platform/fault.ts';
import { reasonOf } from '../platform/reason.ts';
import { readNamedFile } from '../platform/regular-file.ts';
import { pathsIn } from './home.ts';
import { printFaults } from './load.ts';
import { type ExitCode, printLine, type Terminal } from './terminal.ts';

/** The limit in bytes. */
const MOST = 8 * 2 ** 20;

/** Takes the users of an htpasswd file, or of docker_auth's configuration, over, with their hashes as they are: all of them, or none. */
export async function importUsers(
  file: string,
  { home }: { readonly home: string },
  terminal: Terminal,
): Promise<ExitCode> {
  const bytes = await readNamedFile(file, MOST).catch((error: Error) => error);
  if (bytes instanceof Error)
    return refuse([{ source: file, message: `cannot be read: ${reasonOf(bytes)}` }], terminal, 2);
  const text = bytes.toString('utf8');
  const parsed = parseStaticUsers(file, text) ?? parseHtpasswd(file, text);
  if ('faults' in parsed) return refuse(parsed.faults, terminal, 1);
  let faults: readonly Fault[] = [];
  let added: UserEdits = new Map();
  try {
    await editUsers(pathsIn(home).users, (users) => {
      faults = parsed.value.flatMap((user) => conflictOf(user, users, file));
      if (faults.length > 0) return 'some are there already';
      const missing = parsed.value.filter(({ name }) => !users.has(name));
      added = new Map(missing.map(({ name, hash }) => [name, { passwordHash: hash }]));
      return added;
    });
  } catch (error) {
    if (!(error instanceof FaultsError)) throw error;
    return refuse(error.faults, terminal, 2);
  }
  if (faults.length > 0) return refuse(faults, terminal, 1);
  const before = parsed.value.length - added.size;
  const more = before > 0 ? `, ${before} there already` : '';
  printLine(
    terminal.stdout,
    `users imported: ${added.size}${more}; each is hashed anew at its next right login`,
  );
  return 0;
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

function refuse(faults: readonly Fault[], terminal: Terminal, code: ExitCode): ExitCode {
  printFaults(faults, terminal);
  printLine(terminal.stderr, 'hubgate: nothing is imported');
  return code;
}
