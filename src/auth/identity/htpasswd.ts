import { whyNoName } from '../../access/subject.ts';
import type { Fault } from '../../platform/fault.ts';
import { BCRYPT_COST } from '../limits.ts';
import { costOfBcrypt, isBcryptHash } from './bcrypt.ts';

export interface HtpasswdUser {
  readonly name: string;
  readonly hash: string;
  readonly line: number;
}

const INSTEAD = 'give a new password with `htpasswd -B`, or with `hubgate user add`';

/** The users that can be imported, and the faults of the others. */
export interface ImportedUsers {
  readonly value: readonly HtpasswdUser[];
  /** Absent if there are none. */
  readonly faults?: readonly Fault[];
}

/**
 * Parses the users of an htpasswd file. Only bcrypt passwords can be imported; everything else in it is a
 * fault. No fault contains a hash. Blanks around a line and a byte order mark are not part of a name or a
 * hash.
 */
export function parseHtpasswd(source: string, text: string): ImportedUsers {
  const users = new Map<string, HtpasswdUser>();
  const faults: Fault[] = [];
  for (const [index, written] of text.split('\n').entries()) {
    const line = index + 1;
    // trim() also removes a byte order mark.
    const entry = written.trim();
    if (entry === '' || entry.startsWith('#')) continue;
    const read = parseEntry(entry, line);
    const earlier = typeof read === 'string' ? undefined : users.get(read.name);
    if (typeof read === 'string') faults.push({ source, line, message: read });
    else if (earlier !== undefined)
      faults.push({ source, line, message: `${read.name} is in line ${earlier.line} already` });
    else users.set(read.name, read);
  }
  return { value: [...users.values()], ...(faults.length > 0 && { faults }) };
}

/** Returns the fault as text if the entry is invalid. */
function parseEntry(entry: string, line: number): HtpasswdUser | string {
  const colon = entry.indexOf(':');
  if (colon < 0) return 'expected a name, a colon and a hash';
  return parseHashedUser(entry.slice(0, colon), entry.slice(colon + 1), line);
}

/** Returns the user, or the fault as text. */
export function parseHashedUser(name: string, hash: string, line: number): HtpasswdUser | string {
  const why = whyNoName(name);
  if (why !== undefined) return why;
  return isBcryptHash(hash) ? { name, hash, line } : `the password of ${name} ${whyNot(hash)}`;
}

function whyNot(hash: string): string {
  if (costOfBcrypt(hash) !== undefined)
    return `is bcrypt of a cost that is not between ${BCRYPT_COST.least} and ${BCRYPT_COST.most}; ${INSTEAD}`;
  if (/^\$2[aby]\$/.test(hash)) return 'is bcrypt, but the hash is not whole';
  if (/^\$(?:apr1|1)\$/.test(hash)) return `is MD5, which is guessed too quickly; ${INSTEAD}`;
  if (/^\{S?SHA\}/i.test(hash)) return `is SHA-1, which is guessed too quickly; ${INSTEAD}`;
  return `is not bcrypt; ${INSTEAD}`;
}
