import { text } from 'node:stream/consumers';
import { read } from 'read';
import { isName } from '../access/subject.ts';
import { hashPassword } from '../auth/identity/password.ts';
import { NAME_RULE, readUsers, removeUser, setPassword, type Users } from '../auth/identity/users-file.ts';
import { pathsIn } from './home.ts';
import { printFaults } from './load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from './terminal.ts';

export interface UserOptions {
  readonly home: string;
}

export interface PasswordOptions extends UserOptions {
  readonly passwordStdin: boolean;
}

export async function addUser(name: string, options: PasswordOptions, terminal: Terminal): Promise<ExitCode> {
  if (!isName(name)) return refuse(terminal, `"${name}" is no user name: ${NAME_RULE}`, 2);
  return withUsers(options, terminal, async (users, file) => {
    if (users.has(name))
      return refuse(
        terminal,
        `${name} is there already; to change the password: hubgate user passwd ${name}`,
      );
    return storePassword(
      name,
      file,
      options,
      terminal,
      `${name} is added; a running mirror knows within a second`,
    );
  });
}

export async function changePassword(
  name: string,
  options: PasswordOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  return withUsers(options, terminal, async (users, file) => {
    if (!users.has(name)) return refuse(terminal, `there is no user ${name}`);
    return storePassword(
      name,
      file,
      options,
      terminal,
      `${name} has another password; tokens issued for the old one end`,
    );
  });
}

export async function deleteUser(name: string, options: UserOptions, terminal: Terminal): Promise<ExitCode> {
  return withUsers(options, terminal, async (users, file) => {
    if (!users.has(name)) return refuse(terminal, `there is no user ${name}`);
    await removeUser(file, name);
    printLine(terminal.stdout, `${name} is removed; tokens that were issued end`);
    return 0;
  });
}

export async function listUsers(
  options: UserOptions & { readonly json: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  return withUsers(options, terminal, async (users) => {
    const names = [...users.keys()];
    if (options.json)
      printJson(
        terminal.stdout,
        names.map((name) => ({ name })),
      );
    else for (const name of names) printLine(terminal.stdout, name);
    return 0;
  });
}

async function withUsers(
  { home }: UserOptions,
  terminal: Terminal,
  act: (users: Users, file: string) => Promise<ExitCode>,
): Promise<ExitCode> {
  const file = pathsIn(home).users;
  const users = await readUsers(file);
  if ('value' in users) return act(users.value, file);
  printFaults(users.faults, terminal);
  return 2;
}

async function storePassword(
  name: string,
  file: string,
  { passwordStdin }: PasswordOptions,
  terminal: Terminal,
  done: string,
): Promise<ExitCode> {
  const password = passwordStdin ? await readPassword(terminal) : await askPassword(name, terminal);
  if (typeof password !== 'string') return refuse(terminal, password.wrong, 2);
  await setPassword(file, name, await hashPassword(password));
  printLine(terminal.stdout, done);
  return 0;
}

type Given = string | { readonly wrong: string };

/** One line end at the end is the shell's and not the password's. */
async function readPassword({ stdin }: Terminal): Promise<Given> {
  const password = (await text(stdin)).replace(/\r?\n$/, '');
  return password === '' ? { wrong: 'the password on standard input is empty' } : password;
}

async function askPassword(name: string, { stdin, stdout }: Terminal): Promise<Given> {
  if (stdin.isTTY !== true)
    return { wrong: 'there is no terminal to ask on; give the password with --password-stdin' };
  const ask = (prompt: string) => read({ prompt, silent: true, input: stdin, output: stdout });
  const password = await ask(`Password for ${name}: `);
  if (password === '') return { wrong: 'the password is empty' };
  return password === (await ask('The same again: ')) ? password : { wrong: 'the two are not the same' };
}

function refuse({ stderr }: Terminal, why: string, code: ExitCode = 1): ExitCode {
  printLine(stderr, `hubgate: ${why}`);
  return code;
}
