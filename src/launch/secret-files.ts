import { previousKeyFile } from '../auth/token/signing-key-file.ts';
import type { HomePaths, Role } from '../config/home.ts';

/**
 * Returns the files of a home that are secrets of a role, or of all roles. The files that the configuration
 * names, for the server's key and the accounts at upstreams, are checked when the configuration is read.
 */
export function secretFilesOf(role: Role | 'all', paths: HomePaths): string[] {
  const wanted = (one: Role) => role === 'all' || role === one;
  const { signingKey, loginKey, authState } = paths;
  const database = ['', '-wal', '-shm'].map((suffix) => authState + suffix);
  const ofAuth = [paths.users, signingKey, previousKeyFile(signingKey), loginKey, ...database];
  const ofGateway = [paths.ca.key];
  return [...(wanted('auth') ? ofAuth : []), ...(wanted('gateway') ? ofGateway : [])];
}
