import path from 'node:path';

/** A process that can be started alone, as a user of its own. */
export type Role = (typeof ROLES)[number];

/** The roles on which others depend come first. */
export const ROLES = ['core', 'auth', 'gateway', 'account'] as const;

/** The files of a home directory whose place no setting changes. */
export interface HomePaths {
  readonly home: string;
  readonly policy: string;
  readonly users: string;
  readonly ca: { readonly certificate: string; readonly key: string };
  /** The server's certificate and key, unless the configuration names other files. */
  readonly server: { readonly certificate: string; readonly key: string };
  readonly signingKey: string;
  /** The embedded database of auth. */
  /** The key that seals the refresh tokens of directories. */
  readonly loginKey: string;
  readonly authState: string;
  /** The last valid policy. */
  readonly lastPolicy: string;
  /** The directory for the versions of the documents that the nodes of a cluster share. */
  readonly sharedDocuments: string;
  /**
   * A directory for each role, which holds its sockets and its compiled code. No other role may write there.
   */
  readonly runtime: Readonly<Record<Role, string>>;
  /** The directory for the supervisor of all roles. */
  readonly supervisorRuntime: string;
  readonly authSocket: string;
  readonly coreSocket: string;
  readonly accountSocket: string;
}

/** Returns the name of a file relative to the home. */
export function inHome(file: string, { home }: Pick<HomePaths, 'home'>): string {
  return file.startsWith(`${home}/`) ? file.slice(home.length + 1) : file;
}

export function pathsIn(directory: string): HomePaths {
  const home = path.resolve(directory);
  const at = (file: string) => path.join(home, file);
  return {
    home,
    policy: at('config/access.yaml'),
    users: at('config/users.yaml'),
    ca: { certificate: at('certs/ca.crt'), key: at('certs/ca.key') },
    server: { certificate: at('certs/server.crt'), key: at('certs/server.key') },
    signingKey: at('state/signing-key.pem'),
    loginKey: at('state/login.key'),
    authState: at('state/auth.db'),
    lastPolicy: at('state/last-good-policy.json'),
    sharedDocuments: at('state/cluster'),
    runtime: {
      core: at('run/core'),
      auth: at('run/auth'),
      gateway: at('run/gateway'),
      account: at('run/account'),
    },
    supervisorRuntime: at('run/supervisor'),
    authSocket: at('run/auth/auth.sock'),
    coreSocket: at('run/core/core.sock'),
    accountSocket: at('run/account/account.sock'),
  };
}
