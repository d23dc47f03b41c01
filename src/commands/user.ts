import { text } from 'node:stream/consumers';
import { read } from 'read';
import { whyNoName } from '../access/subject.ts';
import {
  changeUser,
  checkUserChange,
  credentialsOfUser,
  type UserChange,
  type UserOutcome,
  type UserRefusal,
} from '../auth/admin/users.ts';
import { isPasswordCredential, whyNoPassword } from '../auth/identity/password.ts';
import { readUsers, type User } from '../auth/identity/users-file.ts';
import type { Environment } from '../config/environment.ts';
import { pathsIn } from '../config/home.ts';
import { loadOrPrint, printFaults } from '../launch/load.ts';
import { type ExitCode, printJson, printLine, type Terminal } from '../launch/terminal.ts';
import { escapeControls } from '../platform/escape-controls.ts';
import type { Fault } from '../platform/fault.ts';
import { confirmWithdrawal, type InForceNow } from './confirmation.ts';
import { credentialStores } from './credential-stores.ts';
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

export async function addUser(
  name: string,
  options: AddOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const wrong = whyNoName(name);
  if (wrong !== undefined) return refuse(terminal, wrong, 2);
  const finish = printing(`${name} is added; a running mirror knows within a second`);
  if (!options.service)
    return changeWithPassword({ kind: 'add', name }, finish, options, environment, terminal);
  if (options.passwordStdin)
    return refuse(terminal, 'a service account has no password; it logs in by service tokens alone', 2);
  return apply({ kind: 'add-service', name }, finish, options, environment, terminal);
}

export async function changePassword(
  name: string,
  options: PasswordOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const finish: Finish = (terminal, credential) =>
    confirmWithdrawal(
      {
        done: `${name} has another password`,
        refused: `the old one and what was issued for it`,
        isWithdrawn: ({ subjects }) =>
          credentialsOfUser(name, subjects).every((id) => id === credential || !isPasswordCredential(id)),
      },
      options.home,
      terminal,
    );
  return changeWithPassword({ kind: 'set-password', name }, finish, options, environment, terminal);
}

export async function deleteUser(
  name: string,
  options: UserOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const finish: Finish = (terminal) => confirmRefused(name, `${name} is removed`, options, terminal);
  return apply({ kind: 'remove', name }, finish, options, environment, terminal);
}

/** Confirms that the mirror refuses a user, whatever credential they present. */
function confirmRefused(
  name: string,
  done: string,
  { home }: UserOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const isWithdrawn = ({ subjects }: InForceNow) => credentialsOfUser(name, subjects).length === 0;
  return confirmWithdrawal({ done, refused: `${name}’s logins and tokens`, isWithdrawn }, home, terminal);
}

export async function disableUser(
  name: string,
  options: UserOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const finish: Finish = (terminal) => confirmRefused(name, `${name} is disabled`, options, terminal);
  return apply({ kind: 'disable', name }, finish, options, environment, terminal);
}

export async function enableUser(
  name: string,
  options: UserOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const finish = printing(`${name} is enabled; a running mirror knows within a second`);
  return apply({ kind: 'enable', name }, finish, options, environment, terminal);
}

export async function listUsers(
  { home, json }: UserOptions & { readonly json: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const users = await readUsers(pathsIn(home).users);
  if ('faults' in users) return printUnreadable(users.faults, terminal, home);
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

/** Prints what was done, after it is done. `credential` is the id of a new password. */
type Finish = (terminal: Terminal, credential: string | undefined) => ExitCode | Promise<ExitCode>;

function printing(done: string): Finish {
  return ({ stdout }) => {
    printLine(stdout, done);
    return 0;
  };
}

async function apply(
  change: UserChange,
  finish: Finish,
  { home }: UserOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const outcome = await changeUser(await credentialStores(home, environment), change);
  return outcome.kind === 'done'
    ? finish(terminal, outcome.credential)
    : printProblem(outcome, change.name, home, terminal);
}

/** Asks for a password and makes the change. Nobody has to type a password that would be useless. */
async function changeWithPassword(
  change: { readonly kind: 'add' | 'set-password'; readonly name: string },
  finish: Finish,
  options: PasswordOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const { home, passwordStdin } = options;
  const paths = pathsIn(home);
  const config = await loadOrPrint(paths, environment, terminal);
  if (config === undefined) return 2;
  const possible = await checkUserChange(paths, change);
  if (possible.kind !== 'done') return printProblem(possible, change.name, home, terminal);
  const password = passwordStdin ? await readPassword(terminal) : await askPassword(change.name, terminal);
  if (typeof password !== 'string') return refuse(terminal, password.wrong, 2);
  return apply({ ...change, password, parameters: config.passwords }, finish, options, environment, terminal);
}

function printProblem(
  outcome: Exclude<UserOutcome, { readonly kind: 'done' }>,
  name: string,
  home: string,
  terminal: Terminal,
): ExitCode {
  return outcome.kind === 'unreadable'
    ? printUnreadable(outcome.faults, terminal, home)
    : refuse(terminal, REFUSALS[outcome.refusal](name));
}

const REFUSALS: Readonly<Record<UserRefusal, (name: string) => string>> = {
  exists: (name) => `${name} is there already; to change the password: hubgate user passwd ${name}`,
  unknown: (name) => `there is no user ${name}`,
  service: (name) =>
    `${name} is a service account, which has no password and logs in by service tokens alone`,
};

function printUnreadable(faults: readonly Fault[], terminal: Terminal, home: string): ExitCode {
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
