/**
 * Asks a directory by LDAP (RFC 4511). Only this module knows the library. Each question has a connection of
 * its own, follows no referral, and is given up after some seconds.
 */
import { isIP } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import {
  Client,
  type Entry,
  EqualityFilter,
  InvalidCredentialsError,
  NoSuchObjectError,
  OrFilter,
  type SearchOptions,
  SizeLimitExceededError,
} from 'ldapts';
import type { LdapLogin } from '../../../config/login.ts';
import { readAuthorities } from '../../../platform/authority-file.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { Logger } from '../../../platform/log.ts';
import { readRegularFile } from '../../../platform/regular-file.ts';
import { LDAP } from '../../limits.ts';
import { type DirectoryPerson, DirectoryUnavailable, readGroups } from './directory.ts';
import { isLocked, LOCKS, valuesOf } from './ldap-entry.ts';

/** A connection without a login, for the search, or for the password of a person. */
type Task<T> = (client: Client) => Promise<T>;

export interface LdapDirectory {
  /**
   * Resolves to the person if the password is right, and to undefined if it is wrong, or if nobody or more
   * than one person has that name.
   * @throws DirectoryUnavailable
   */
  authenticate(name: string, password: string): Promise<DirectoryPerson | undefined>;
  /**
   * Returns the people with these stable ids, by the ids. Whoever is missing or locked there is left out.
   * @throws DirectoryUnavailable
   */
  confirm(stableIds: readonly string[]): Promise<ReadonlyMap<string, DirectoryPerson>>;
  /**
   * Connects, logs in and searches, as an operator wants to see it.
   * @throws DirectoryUnavailable
   */
  check(): Promise<{ readonly people: number; readonly withGroups: number }>;
}

export interface LdapDirectoryOptions {
  readonly login: LdapLogin;
  readonly clock: Clock;
  readonly log: Logger;
}

export function openLdapDirectory({ login, clock, log }: LdapDirectoryOptions): LdapDirectory {
  const attributes = [login.user, login.groups, 'entryUUID', 'objectGUID', ...LOCKS];
  const personIn = (entry: Entry) => readPerson(entry, login, log);
  const search = async (client: Client, options: SearchOptions) =>
    (
      await client.search(login.people, {
        ...{ scope: 'sub', derefAliases: 'never', attributes, explicitBufferAttributes: ['objectGUID'] },
        ...options,
      })
    ).searchEntries;

  const find = async (client: Client, name: string): Promise<readonly Entry[]> => {
    // The library encodes the value as a length and bytes, so no character of a name is part of the filter.
    const filter = new EqualityFilter({ attribute: login.user, value: name });
    try {
      return await search(client, { filter, sizeLimit: 2 });
    } catch (error) {
      // The directory stops at the third entry.
      if (error instanceof SizeLimitExceededError) return [];
      throw error;
    }
  };

  return {
    async authenticate(name, password) {
      // Many directories accept an empty password as a login of nobody (RFC 4513, section 5.1.2).
      if (name === '' || password === '') return undefined;
      const entry = onlyOne(await asService(login, (client) => find(client, name)), login, log);
      // A name that nobody has costs a login too, so that it takes as long.
      const dn = entry?.dn ?? `cn=nobody,${login.people}`;
      const isRight = await withClient(login, (client) => isAccepted(client, dn, password));
      return entry !== undefined && isRight && !isLocked(entry, clock()) ? personIn(entry) : undefined;
    },
    confirm: async (stableIds) => {
      if (stableIds.length === 0) return new Map();
      const entries = await asService(login, async (client) => {
        const found: Entry[] = [];
        for (let from = 0; from < stableIds.length; from += LDAP.batch) {
          const filters = stableIds.slice(from, from + LDAP.batch).map(idFilter);
          found.push(...(await search(client, { filter: new OrFilter({ filters }) })));
        }
        return found;
      });
      const now = clock();
      const people = entries
        .filter((entry) => !isLocked(entry, now))
        .flatMap((entry) => personIn(entry) ?? []);
      return new Map(people.map((person) => [person.stableId, person]));
    },
    check: () =>
      asService(login, async (client) => {
        try {
          const entries = await search(client, { filter: `(${login.user}=*)`, sizeLimit: LDAP.batch });
          const withGroups = entries.filter((entry) => valuesOf(entry, login.groups).length > 0);
          return { people: entries.length, withGroups: withGroups.length };
        } catch (error) {
          // There are more, which is not a mistake.
          if (error instanceof SizeLimitExceededError) return { people: LDAP.batch, withGroups: LDAP.batch };
          throw error;
        }
      }),
  };
}

/** If several entries have the same name, nobody can tell who logs in. */
function onlyOne(entries: readonly Entry[], { name: login }: LdapLogin, log: Logger): Entry | undefined {
  if (entries.length > 1)
    log.warn({ login }, 'several entries of the directory have the same name; all of them are refused');
  return entries.length === 1 ? entries[0] : undefined;
}

/** Runs a task on a connection of the account that searches. */
function asService<T>(login: LdapLogin, task: Task<T>): Promise<T> {
  return withClient(login, async (client) => {
    const { bindDn, bindPasswordFile } = login;
    if (bindDn !== undefined && bindPasswordFile !== undefined)
      await client.bind(bindDn, await readSecret(bindPasswordFile));
    return task(client);
  });
}

async function readSecret(file: string): Promise<string> {
  return String(await readRegularFile(file)).replace(/\r?\n$/, '');
}

/** @throws DirectoryUnavailable */
async function withClient<T>({ url, startTls, ca, people }: LdapLogin, task: Task<T>): Promise<T> {
  const tlsOptions = ca === undefined ? {} : { ca: await authoritiesIn(ca) };
  const isSecure = url.startsWith('ldaps:');
  const client = new Client({
    ...{ url, timeout: LDAP.deadline, connectTimeout: LDAP.deadline },
    ...(isSecure && { tlsOptions }),
    ...(startTls && { createSecureConnection: startTlsInTime }),
  });
  try {
    if (startTls) await client.startTLS({ ...tlsOptions, ...nameFor(hostOf(url)) });
    return await task(client);
  } catch (error) {
    if (error instanceof DirectoryUnavailable) throw error;
    const reason = error instanceof NoSuchObjectError ? `it has no entry ${people}` : reasonOf(error);
    throw new DirectoryUnavailable(reason, { cause: error });
  } finally {
    await client.unbind().catch(() => {});
  }
}

/**
 * Turns a connection into TLS, for which the library gives the options alone. It would wait for ever for a
 * directory that agrees to that and then says nothing.
 */
const startTlsInTime = ((options: ConnectionOptions): TLSSocket => {
  const socket = connect(options);
  const late = setTimeout(() => socket.destroy(new Error('no TLS in time')), LDAP.deadline);
  for (const event of ['secureConnect', 'close']) socket.once(event, () => clearTimeout(late));
  return socket;
}) as typeof connect;

/** Returns what the library says, and nothing that the directory sent. */
function reasonOf(error: unknown): string {
  if (error instanceof InvalidCredentialsError) return 'it refuses the login of bindDn';
  if (!(error instanceof Error)) return 'it does not answer';
  const code = 'code' in error ? ` (${error.code})` : '';
  return `${error.name === 'Error' ? 'it cannot be reached' : error.name}${code}`;
}

/** The name that the certificate must have. TLS cannot ask for a certificate of an address. */
function nameFor(host: string) {
  return { host, ...(isIP(host) === 0 && { servername: host }) };
}

function hostOf(url: string): string {
  return new URL(url.replace(/^ldaps?:/, 'http:')).hostname.replace(/^\[|\]$/g, '');
}

async function authoritiesIn(file: string): Promise<string[]> {
  const read = await readAuthorities(file);
  if ('faults' in read) throw new DirectoryUnavailable(`${file} ${read.faults[0]?.message}`);
  return read.value.map((authority) => authority.toString());
}

async function isAccepted(client: Client, dn: string, password: string): Promise<boolean> {
  try {
    await client.bind(dn, password);
    return true;
  } catch (error) {
    // Directories refuse a login with other codes too: a password that has ended, or a locked entry. None of
    // them means that the directory is away.
    if (error instanceof InvalidCredentialsError || isRefusal(error)) return false;
    throw error;
  }
}

const REFUSALS: ReadonlySet<string> = new Set([
  'NoSuchObjectError',
  'InvalidDNSyntaxError',
  'InappropriateAuthError',
  'UnwillingToPerformError',
  'ConstraintViolationError',
  'InsufficientAccessError',
]);

function isRefusal(error: unknown): boolean {
  return error instanceof Error && REFUSALS.has(error.name);
}

function readPerson(
  entry: Entry,
  { name: login, user, groups }: LdapLogin,
  log: Logger,
): DirectoryPerson | undefined {
  const [name] = valuesOf(entry, user);
  const stableId = stableIdOf(entry);
  if (name === undefined || stableId === undefined) {
    log.warn({ login }, 'an entry of the directory has no name, or neither entryUUID nor objectGUID');
    return undefined;
  }
  const read = isPartial(entry, groups) ? 'incomplete' : readGroups(valuesOf(entry, groups).map(groupNameIn));
  if (read === 'incomplete')
    log.warn({ login, user: name, attribute: groups }, 'somebody has too many groups, and is refused');
  return { stableId, name, groups: read };
}

/** Active Directory sends only a part of a long list, under another name: `memberOf;range=0-1499`. */
function isPartial(entry: Entry, attribute: string): boolean {
  const prefix = `${attribute};range=`.toLowerCase();
  return Object.keys(entry).some((key) => key.toLowerCase().startsWith(prefix));
}

const GUID = /^[0-9a-f]{32}$/;

function stableIdOf(entry: Entry): string | undefined {
  const [uuid] = valuesOf(entry, 'entryUUID');
  if (uuid !== undefined) return uuid;
  const guid = [entry.objectGUID ?? []].flat()[0];
  return guid instanceof Uint8Array ? Buffer.from(guid).toString('hex') : undefined;
}

function idFilter(stableId: string): EqualityFilter {
  return GUID.test(stableId)
    ? new EqualityFilter({ attribute: 'objectGUID', value: Buffer.from(stableId, 'hex') })
    : new EqualityFilter({ attribute: 'entryUUID', value: stableId });
}

/**
 * Returns the name of a group: the first value of a DN (RFC 4514), such as `payments` of
 * `cn=payments,ou=groups`. A value that is not a DN is the name itself. Spaces around a value of a DN do not
 * count, and everything that is escaped does, because it distinguishes two groups.
 */
export function groupNameIn(text: string): string {
  const begin = text.indexOf('=');
  if (begin < 0) return text;
  const bytes: number[] = [];
  const value = Buffer.from(text.slice(begin + 1).replace(/^ +/, ''));
  let end = 0;
  for (let at = 0; at < value.length; at++) {
    const char = String.fromCharCode(value[at] ?? 0);
    if (char === ',' || char === '+') break;
    const { byte, length } = char === '\\' ? escapedAt(value, at + 1) : { byte: value[at] ?? 0, length: 0 };
    bytes.push(byte);
    if (char !== ' ') end = bytes.length;
    at += length;
  }
  return Buffer.from(bytes.slice(0, end)).toString('utf8');
}

/** Reads what follows a backslash: two hexadecimal digits, or the character itself. */
function escapedAt(value: Buffer, at: number): { readonly byte: number; readonly length: number } {
  const hex = value.subarray(at, at + 2).toString('latin1');
  return /^[0-9A-Fa-f]{2}$/.test(hex)
    ? { byte: Number.parseInt(hex, 16), length: 2 }
    : { byte: value[at] ?? 0, length: 1 };
}
