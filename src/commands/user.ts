import { text } from 'node:stream/consumers';
import { read } from 'read';
import { formatSubject, whyNoName } from '../access/subject.ts';
import {
  hashPassword,
  isPasswordCredential,
  passwordCredential,
  whyNoPassword,
} from '../auth/identity/password.ts';
import { editUsers, readUsers, type User, type UserEdit, type Users } from '../auth/identity/users-file.ts';
import { openAuthState } from '../auth/state/sqlite-state.ts';
import type { Environment } from '../config/environment.ts';
import { type HomePaths, pathsIn } from '../config/home.ts';
import { loadOrPrint, printFaults } from '../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../launch/terminal.ts';
import { escapeControls } from '../platform/escape-controls.ts';
import { type Fault, FaultsError } from '../platform/fault.ts';
import { ABSENT, stateOfFile } from '../platform/watched-files.ts';
import { confirmWithdrawal, type InForceNow } from './confirmation.ts';
import { printTable } from './table.ts';

export interface UserOptions {
  readonly home: string;
}

export interface PasswordOptions extends UserOptions {
  readonly passwordStdin: boolean;
}

export interface AddOptions extends PasswordOptions {
  readonly service: boolean;
}

/** Returns why something cannot be done with the users as they are. */
type Objection = (users: Users) => string | undefined;

export async function addUser(
  name: string,
  options: AddOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const wrong = whyNoName(name);
  if (wrong !== undefined) return refuse(terminal, wrong, 2);
  const change: UserChange = {
    name,
    objection: (users) =>
      users.has(name)
        ? `${name} is there already; to change the password: hubgate user passwd ${name}`
        : undefined,
    finish: printing(`${name} is added; a running mirror knows within a second`),
  };
  if (!options.service) return storePassword(change, options, environment, terminal);
  if (options.passwordStdin)
    return refuse(terminal, 'a service account has no password; it logs in by service tokens alone', 2);
  return apply(change, { isService: true }, options, terminal);
}

export async function changePassword(
  name: string,
  options: PasswordOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const objection: Objection = (users) =>
    users.get(name)?.isService
      ? `${name} is a service account, which has no password and logs in by service tokens alone`
      : unknown(name)(users);
  const finish: Finish = (terminal, { passwordHash = '' }) =>
    confirmWithdrawal(
      {
        done: `${name} has another password`,
        refused: `the old one and what was issued for it`,
        isWithdrawn: (inForce) => {
          const now = passwordCredential(name, passwordHash);
          return credentialsOf(name, inForce).every((id) => id === now || !isPasswordCredential(id));
        },
      },
      options.home,
      terminal,
    );
  return storePassword({ name, objection, finish }, options, environment, terminal);
}

export async function deleteUser(name: string, options: UserOptions, terminal: Terminal): Promise<ExitCode> {
  const finish: Finish = async (terminal) => {
    await removeCredentials(name, options);
    return confirmRefused(name, `${name} is removed`, options, terminal);
  };
  return apply({ name, objection: unknown(name), finish }, 'remove', options, terminal);
}

/** Confirms that the mirror refuses a user, whatever credential they present. */
function confirmRefused(
  name: string,
  done: string,
  { home }: UserOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const isWithdrawn = (inForce: InForceNow) => credentialsOf(name, inForce).length === 0;
  return confirmWithdrawal({ done, refused: `${name}’s logins and tokens`, isWithdrawn }, home, terminal);
}

/** Returns the ids of a user's or service's credentials that are in force. */
function credentialsOf(name: string, { subjects }: InForceNow): readonly string[] {
  const own = (['user', 'service'] as const).map((kind) => formatSubject({ kind, name }));
  return [...subjects].flatMap(([id, subject]) => (own.includes(subject) ? [id] : []));
}

/** Removes the credentials of a removed user, because somebody else may get the name later. */
async function removeCredentials(name: string, { home }: UserOptions): Promise<void> {
  const { authState } = pathsIn(home);
  // If there has never been a mirror or a token, there is nothing to remove.
  if ((await stateOfFile(authState)) === ABSENT) return;
  await using state = openAuthState(authState);
  for (const { id, owner } of await state.tokens()) if (owner === name) await state.removeToken(id);
  for (const { id, user } of await state.logins()) if (user === name) await state.removeLogin(id);
}

export async function disableUser(name: string, options: UserOptions, terminal: Terminal): Promise<ExitCode> {
  const finish: Finish = (terminal) => confirmRefused(name, `${name} is disabled`, options, terminal);
  return apply({ name, objection: unknown(name), finish }, { isDisabled: true }, options, terminal);
}

export async function enableUser(name: string, options: UserOptions, terminal: Terminal): Promise<ExitCode> {
  const finish = printing(`${name} is enabled; a running mirror knows within a second`);
  return apply({ name, objection: unknown(name), finish }, { isDisabled: false }, options, terminal);
}

function unknown(name: string): Objection {
  return (users) => (users.has(name) ? undefined : `there is no user ${name}`);
}

export async function listUsers(
  { home, json }: UserOptions & { readonly json: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const users = await readUsers(pathsIn(home).users);
  if ('faults' in users) return faulty(users.faults, terminal, home);
  const all = [...users.value.values()];
  if (json)
    printJson(
      terminal.stdout,
      all.map(({ name, isService: service, isDisabled: disabled }) => ({ name, service, disabled })),
    );
  else
    printTable(terminal.stdout, {
      heading: ['NAME', 'KIND', 'STATE'],
      rows: all.map(rowOf),
      empty: 'there are no users yet; to add one: hubgate user add NAME',
    });
  return 0;
}

function rowOf({ name, isService, isDisabled }: User): string[] {
  return [name, isService ? 'service' : 'person', isDisabled ? 'disabled' : 'active'];
}

interface UserChange {
  readonly name: string;
  readonly objection: Objection;
  readonly finish: Finish;
}

/** Prints what was done, after it is done. */
type Finish = (terminal: Terminal, edit: UserEdit) => ExitCode | Promise<ExitCode>;

function printing(done: string): Finish {
  return ({ stdout }) => {
    printLine(stdout, done);
    return 0;
  };
}

/**
 * Applies a change. The objection is evaluated at the very moment of the change, because other processes
 * change users too.
 */
async function apply(
  { name, objection, finish }: UserChange,
  edit: UserEdit | 'remove',
  { home }: UserOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  try {
    const why = await editUsers(pathsIn(home).users, (users) => objection(users) ?? new Map([[name, edit]]));
    if (why !== undefined) return refuse(terminal, why);
  } catch (error) {
    if (!(error instanceof FaultsError)) throw error;
    return faulty(error.faults, terminal, home);
  }
  return finish(terminal, edit === 'remove' ? {} : edit);
}

async function storePassword(
  change: UserChange,
  options: PasswordOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const paths = pathsIn(options.home);
  const config = await loadOrPrint(paths, environment, terminal);
  if (config === undefined) return 2;
  // This comes before anybody has to type a password that would be useless.
  const refused = await objected(change, paths, terminal);
  if (refused !== undefined) return refused;
  const { passwordStdin } = options;
  const password = passwordStdin ? await readPassword(terminal) : await askPassword(change.name, terminal);
  if (typeof password !== 'string') return refuse(terminal, password.wrong, 2);
  return apply(change, { passwordHash: await hashPassword(password, config.passwords) }, options, terminal);
}

async function objected(
  { objection }: UserChange,
  paths: HomePaths,
  terminal: Terminal,
): Promise<ExitCode | undefined> {
  const users = await readUsers(paths.users);
  if ('faults' in users) return faulty(users.faults, terminal, paths.home);
  const why = objection(users.value);
  return why === undefined ? undefined : refuse(terminal, why);
}

function faulty(faults: readonly Fault[], terminal: Terminal, home: string): ExitCode {
  printFaults(faults, terminal, pathsIn(home).home);
  return 2;
}

type Given = string | { readonly wrong: string };

/**
 * Reads the password. One line end at the end comes from the shell and is removed, and so is a byte order
 * mark, which PowerShell writes.
 */
async function readPassword({ stdin }: Terminal): Promise<Given> {
  const password = (await text(stdin)).replace(/^\uFEFF|\r?\n$/g, '');
  if (password === '') return { wrong: 'the password on standard input is empty' };
  return newPassword(password);
}

async function askPassword(name: string, { stdin, stdout }: Terminal): Promise<Given> {
  if (stdin.isTTY !== true)
    return { wrong: 'there is no terminal to ask on; give the password with --password-stdin' };
  const ask = (prompt: string) =>
    read({ prompt: escapeControls(prompt), silent: true, input: stdin, output: stdout });
  const password = await ask(`Password for ${name}: `);
  const given = newPassword(password);
  if (typeof given !== 'string') return given;
  return password === (await ask('The same again: ')) ? password : { wrong: 'the two are not the same' };
}

function newPassword(password: string): Given {
  const wrong = whyNoPassword(password);
  return wrong === undefined ? password : { wrong };
}

function refuse({ stderr }: Terminal, why: string, code: ExitCode = 1): ExitCode {
  printLine(stderr, `hubgate: ${why}`);
  return code;
}
