import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Document, isMap } from 'yaml';
import { z } from 'zod';
import { whyNoName } from '../../access/subject.ts';
import { behindLinks, writeFileAtomically } from '../../platform/atomic-file.ts';
import { type Fault, FaultsError, type Parsed } from '../../platform/fault.ts';
import { withFileLock } from '../../platform/file-lock.ts';
import { reasonOf } from '../../platform/reason.ts';
import { readIfPresent } from '../../platform/regular-file.ts';
import type { YamlEntryCache } from '../../platform/yaml/yaml-entry-cache.ts';
import { openYaml, type PartReader, section } from '../../platform/yaml/yaml-schema.ts';
import { MAX_USERS_MIB } from '../limits.ts';
import { isPasswordHash } from './password.ts';

export interface User {
  readonly name: string;
  /**
   * The id of this entry, to which service tokens belong. It is absent if the entry was written by hand or by
   * an older version.
   */
  readonly id?: string;
  /**
   * An argon2id hash as a PHC string, or an imported bcrypt hash. Absent if the user logs in only by tokens.
   */
  readonly passwordHash?: string;
  /** True for a service account. It is not a person, and its subject is of another kind. */
  readonly isService: boolean;
  readonly isDisabled: boolean;
}

export type Users = ReadonlyMap<string, User>;

const HEADER = ` Users of this mirror. Written by \`hubgate user\`, which keeps comments and order.
 A hash here is as good as a password to whoever has time: keep this file to yourself.
 Service tokens belong to the entry with the id that it had when they were made: leave ids as they are.`;

const HASH = 'an argon2id or bcrypt hash, as `hubgate user` writes it';
const ANYTHING = z.unknown().optional();
const KEYS = section({ version: ANYTHING, users: ANYTHING });
const VERSION = z.literal(1, '1, the version of this format');
const USERS = z.record(z.string(), ANYTHING, 'a map of users').nullish();
const FLAG = z.boolean('true or false').optional();
const ID = 'letters and digits, as `hubgate user add` writes them';
const USER = section({
  password: z.string(HASH).refine(isPasswordHash, HASH).optional(),
  service: FLAG,
  disabled: FLAG,
  id: z
    .string(ID)
    .regex(/^[A-Za-z0-9]{4,64}$/, ID)
    .optional(),
});

/**
 * Parses the users in `text`, or returns everything that is wrong with it. With a memory, only entries that
 * were not in it before are parsed.
 */
export function parseUsers(source: string, text: string, memory?: YamlEntryCache): Parsed<Users> {
  const parts = memory?.open(source, text, MAX_USERS_MIB);
  memory?.forget();
  const again = parts && readParts(parts);
  if (again !== undefined && 'value' in again) return again;
  const parsed = parse(source, text);
  return 'faults' in parsed ? parsed : { value: parsed.value.users };
}

function parse(source: string, text: string): Parsed<{ readonly users: Users; readonly document: Document }> {
  const opened = openYaml(source, text, MAX_USERS_MIB);
  if ('faults' in opened) return opened;
  const read = readParts(opened.value);
  const { document } = opened.value.yaml;
  return 'faults' in read ? read : { value: { users: read.value, document } };
}

function readParts(parts: PartReader): Parsed<Users> {
  parts.read([], KEYS);
  parts.read(['version'], VERSION);
  const users = new Map<string, User>();
  for (const name of Object.keys(parts.read(['users'], USERS) ?? {})) {
    const why = whyNoName(name);
    if (why !== undefined) parts.fault(['users', name], why, 'key');
    const user = parts.read(['users', name], USER);
    if (user === undefined) continue;
    const { id, password, service: isService = false, disabled: isDisabled = false } = user;
    if (password === undefined && !isService)
      parts.fault(['users', name], `${name} has no password, and is no service`, 'key');
    users.set(name, {
      name,
      ...(id !== undefined && { id }),
      isService,
      isDisabled,
      ...(password !== undefined && { passwordHash: password }),
    });
  }
  return parts.result(users);
}

/** Reads the text of the file. A missing file has no users. */
export async function readUsersText(file: string): Promise<Parsed<string>> {
  const text = await readText(file);
  return typeof text === 'string' ? { value: text } : { faults: [text] };
}

/** Reads the users of the file. */
export async function readUsers(file: string): Promise<Parsed<Users>> {
  const text = await readUsersText(file);
  return 'faults' in text ? text : parseUsers(file, text.value);
}

async function readText(file: string): Promise<string | Fault> {
  try {
    const bytes = await readIfPresent(file, MAX_USERS_MIB * 2 ** 20);
    return bytes?.toString('utf8') ?? emptyFile();
  } catch (error) {
    return { source: file, message: `cannot be read: ${reasonOf(error)}` };
  }
}

function emptyFile(): string {
  return `${HEADER.replace(/^ /gm, '# ')}\nversion: 1\nusers: {}\n`;
}

/** The changes to users: `remove`, or new values. Everything else stays as it is. */
export type UserEdits = ReadonlyMap<string, UserEdit | 'remove'>;

export interface UserEdit {
  readonly passwordHash?: string;
  readonly isService?: true;
  readonly isDisabled?: boolean;
}

/**
 * Writes the whole file, and keeps comments and order. `decide` gets the current users while no other process
 * may change them, and returns the changes, or why there are none.
 * @returns why nothing is changed.
 * @throws FaultsError if the current file cannot be parsed.
 * @throws LockedError if another process is changing it for too long.
 */
export async function editUsers<Refusal extends string>(
  file: string,
  decide: (users: Users) => UserEdits | Refusal,
): Promise<Refusal | undefined> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o750 });
  // All links to a file share one lock.
  return withFileLock(await behindLinks(file), async () => {
    const text = await readText(file);
    if (typeof text !== 'string') throw new FaultsError([text]);
    const parsed = parse(file, text);
    if ('faults' in parsed) throw new FaultsError(parsed.faults);
    const { document, users } = parsed.value;
    const edits = decide(users);
    if (typeof edits === 'string') return edits;
    for (const [name, edit] of edits) {
      applyEdit(document, name, edit);
      if (edit !== 'remove' && !users.has(name)) document.setIn(['users', name, 'id'], newId());
    }
    if (edits.size > 0) await writeFileAtomically(file, document.toString({ lineWidth: 0 }), 0o600);
    return undefined;
  });
}

/**
 * Makes the id of an entry, which is never given again: 48 random bits. The leading letter keeps YAML from
 * reading a number.
 */
function newId(): string {
  return `u${randomBytes(6).toString('hex')}`;
}

function applyEdit(document: Document, name: string, edit: UserEdit | 'remove'): void {
  if (edit === 'remove') {
    document.deleteIn(['users', name]);
    return;
  }
  const users = document.get('users');
  // `users: {}` of an empty file would stay on one line.
  if (isMap(users)) users.flow = false;
  const { passwordHash, isService, isDisabled } = edit;
  if (passwordHash !== undefined) document.setIn(['users', name, 'password'], passwordHash);
  if (isService) document.setIn(['users', name, 'service'], true);
  if (isDisabled) document.setIn(['users', name, 'disabled'], true);
  if (isDisabled === false) document.deleteIn(['users', name, 'disabled']);
}

/** Sets the password of a new or existing user. */
export async function setPassword(file: string, name: string, passwordHash: string): Promise<void> {
  await editUsers(file, () => new Map([[name, { passwordHash }]]));
}

export async function removeUser(file: string, name: string): Promise<void> {
  await editUsers(file, () => new Map([[name, 'remove']]));
}

/**
 * Replaces a hash by another one of the same password. Resolves to false if the user has another password, or
 * none, by now.
 */
export async function replaceHash(file: string, name: string, from: string, to: string): Promise<boolean> {
  const why = await editUsers(file, (users) =>
    users.get(name)?.passwordHash === from ? new Map([[name, { passwordHash: to }]]) : 'another hash',
  );
  return why === undefined;
}

/**
 * Returns the users of `remote` with the changes from `base` to `local`; undefined if one of the texts cannot
 * be parsed. If both have changed the same user, `remote` counts, except that a user whom one of them
 * disables stays disabled.
 */
export function mergeUsers(base: string, local: string, remote: string): string | undefined {
  const [before, here, there] = [base, local, remote].map((text) => parse('users.yaml', text));
  if (before === undefined || here === undefined || there === undefined) return undefined;
  if ('faults' in before || 'faults' in here || 'faults' in there) return undefined;
  const { document, users } = there.value;
  const names = new Set([...before.value.users.keys(), ...here.value.users.keys()]);
  for (const name of names) {
    const [old, own, other] = [before.value.users, here.value.users, users].map((all) => all.get(name));
    if (isDeepStrictEqual(own, old)) continue;
    const isOurs = isDeepStrictEqual(other, old);
    if (isOurs && own === undefined) document.deleteIn(['users', name]);
    else if (isOurs) document.setIn(['users', name], here.value.document.getIn(['users', name]));
    else if (own?.isDisabled === true && other !== undefined) applyEdit(document, name, { isDisabled: true });
  }
  return document.toString({ lineWidth: 0 });
}
