import type { Fault } from '../../platform/fault.ts';
import { isObject, propertyOf } from '../../platform/object-properties.ts';
import { parseYaml } from '../../platform/yaml/yaml-document.ts';
import { type HtpasswdUser, type ImportedUsers, parseHashedUser } from './htpasswd.ts';

/** The `users` of a docker_auth configuration. */
export interface StaticUsers {
  readonly importable: readonly HtpasswdUser[];
  /** The users whose password cannot be imported, and why. */
  readonly others: readonly { readonly name: string; readonly why: string }[];
}

/** Reads the users. The name "" stands for clients that do not log in, and is not a user. */
export function readStaticUsers(users: Readonly<Record<string, unknown>>): StaticUsers {
  const importable: HtpasswdUser[] = [];
  const others: { name: string; why: string }[] = [];
  for (const [name, said] of Object.entries(users)) {
    if (name === '') continue;
    const password = propertyOf(said, 'password');
    const read =
      typeof password === 'string' ? parseHashedUser(name, password, 0) : `${name} has no password there`;
    if (typeof read === 'string') others.push({ name, why: read });
    else importable.push(read);
  }
  return { importable, others };
}

/**
 * Parses the users of a docker_auth configuration into the same form as those of an htpasswd file. Returns
 * undefined if the text is not such a configuration.
 */
export function parseStaticUsers(source: string, text: string): ImportedUsers | undefined {
  const read = parseYaml(source, text);
  if ('faults' in read) return undefined;
  const users = propertyOf(read.yaml.data, 'users');
  if (!isObject(users) || Array.isArray(users)) return undefined;
  const { importable, others } = readStaticUsers(users);
  const at = (name: string) => read.yaml.faultAt(['users', name], '', 'key');
  const faults = others.map(({ name, why }): Fault => ({ ...at(name), message: why }));
  const value = importable.map((user) => ({ ...user, line: at(user.name).line ?? 1 }));
  return { value, ...(faults.length > 0 && { faults }) };
}
