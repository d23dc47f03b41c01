import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Document, isMap } from 'yaml';
import { z } from 'zod';
import { isName } from '../../access/subject.ts';
import { writeFileAtomically } from '../../platform/atomic-file.ts';
import { type Fault, FaultsError, type Parsed } from '../../platform/fault.ts';
import { openYaml, section } from '../../platform/yaml-schema.ts';
import { isPasswordHash } from './password.ts';

export interface User {
  readonly name: string;
  /** argon2id, as a PHC string; absent: by tokens alone. */
  readonly passwordHash?: string;
  /** A service account: no person, and a subject of another kind. */
  readonly isService: boolean;
  readonly isDisabled: boolean;
}

export type Users = ReadonlyMap<string, User>;

const HEADER = ` Users of this mirror. Written by \`hubgate user\`, which keeps comments and order.
 A hash here is as good as a password to whoever has time: keep this file to yourself.`;

const HASH = 'an argon2id hash, as `hubgate user` writes it';
const ANYTHING = z.unknown().optional();
const KEYS = section({ version: ANYTHING, users: ANYTHING });
const VERSION = z.literal(1, '1, the version of this format');
const USERS = z.record(z.string(), ANYTHING, 'a map of users').nullish();
const FLAG = z.boolean('true or false').optional();
const USER = section({
  password: z.string(HASH).refine(isPasswordHash, HASH).optional(),
  service: FLAG,
  disabled: FLAG,
});

export function parseUsers(source: string, text: string): Parsed<Users> {
  const parsed = parse(source, text);
  return 'faults' in parsed ? parsed : { value: parsed.value.users };
}

function parse(source: string, text: string): Parsed<{ readonly users: Users; readonly document: Document }> {
  const opened = openYaml(source, text);
  if ('faults' in opened) return opened;
  const parts = opened.value;
  parts.read([], KEYS);
  parts.read(['version'], VERSION);
  const users = new Map<string, User>();
  for (const name of Object.keys(parts.read(['users'], USERS) ?? {})) {
    if (!isName(name)) parts.fault(['users', name], `"${name}" is no user name (${NAME_RULE})`, 'key');
    const user = parts.read(['users', name], USER);
    if (user === undefined) continue;
    const { password, service: isService = false, disabled: isDisabled = false } = user;
    if (password === undefined && !isService)
      parts.fault(['users', name], `${name} has no password, and is no service`, 'key');
    users.set(name, {
      name,
      isService,
      isDisabled,
      ...(password !== undefined && { passwordHash: password }),
    });
  }
  return parts.result({ users, document: parts.yaml.document });
}

export const NAME_RULE = 'lower-case letters, digits and ._@- between them, at most 64';

/** A missing file is one without users. */
export async function readUsers(file: string): Promise<Parsed<Users>> {
  const text = await readText(file);
  return typeof text === 'string' ? parseUsers(file, text) : { faults: [text] };
}

async function readText(file: string): Promise<string | Fault> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return emptyFile();
    return { source: file, message: `cannot be read: ${(error as Error).message}` };
  }
}

function emptyFile(): string {
  return `${HEADER.replace(/^ /gm, '# ')}\nversion: 1\nusers: {}\n`;
}

/**
 * Sets the password of a user, new or known, and writes the file as a whole; comments and order stay.
 *
 * @throws FaultsError where the file as it is cannot be read.
 */
export async function setPassword(file: string, name: string, passwordHash: string): Promise<void> {
  await edit(file, (document) => {
    const users = document.get('users');
    // `users: {}` of an empty file would stay on one line.
    if (isMap(users)) users.flow = false;
    document.setIn(['users', name, 'password'], passwordHash);
  });
}

export async function removeUser(file: string, name: string): Promise<void> {
  await edit(file, (document) => {
    document.deleteIn(['users', name]);
  });
}

async function edit(file: string, change: (document: Document) => void): Promise<void> {
  const text = await readText(file);
  if (typeof text !== 'string') throw new FaultsError([text]);
  const parsed = parse(file, text);
  if ('faults' in parsed) throw new FaultsError(parsed.faults);
  const { document } = parsed.value;
  change(document);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o750 });
  await writeFileAtomically(file, document.toString({ lineWidth: 0 }), 0o600);
}
