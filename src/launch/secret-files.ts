import { previousKeyFile } from '../auth/token/signing-key-file.ts';
import { keyFilesOf } from '../config/cluster-objects.ts';
import { type Config, credentialsOf } from '../config/config.ts';
import type { HomePaths, Role } from '../config/home.ts';
import { filesOfLogins } from '../config/login.ts';
import { propertyOf } from '../platform/object-properties.ts';

/** Returns the files of a home that are secrets of a role, or of all roles, in every configuration. */
export function secretFilesOf(role: Role | 'all', paths: HomePaths): string[] {
  const wanted = (one: Role) => role === 'all' || role === one;
  const { signingKey, loginKey, authState } = paths;
  const database = ['', '-wal', '-shm'].map((suffix) => authState + suffix);
  const ofAuth = [paths.users, signingKey, previousKeyFile(signingKey), loginKey, ...database];
  const ofGateway = [paths.ca.key];
  return [...(wanted('auth') ? ofAuth : []), ...(wanted('gateway') ? ofGateway : [])];
}

/** Returns the secret files that the configuration names for a role, or for all roles. */
export function namedSecretsOf(role: Role | 'all', config: Config): string[] {
  const wanted = (...roles: readonly Role[]) => role === 'all' || roles.includes(role);
  const { upstreams, cluster, egress, logins, tls } = config;
  const accounts = upstreams.flatMap(credentialsOf).map(({ credential }) => credential);
  const proxy = egress.https?.login;
  return [
    ...(wanted('core')
      ? [...accounts.flatMap(fileOf), ...keyFilesOf(cluster?.objects).map(([, file]) => file)]
      : []),
    ...(wanted('core', 'auth') ? fileOf(proxy) : []),
    ...(wanted('auth')
      ? filesOfLogins(logins).flatMap((one) => (one.kind === 'secret' ? [one.file] : []))
      : []),
    ...(wanted('gateway') ? [tls.key] : []),
  ];
}

function fileOf(credential: object | undefined): string[] {
  const file = propertyOf(credential, 'passwordFile');
  return typeof file === 'string' ? [file] : [];
}
