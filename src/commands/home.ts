import path from 'node:path';

/** The files of a home directory that are where they are, whatever the configuration says. */
export interface HomePaths {
  readonly home: string;
  readonly policy: string;
  readonly users: string;
  readonly ca: { readonly certificate: string; readonly key: string };
  readonly signingKey: string;
  /** The embedded database of auth. */
  readonly authState: string;
  /** The last policy that was good. */
  readonly lastPolicy: string;
  readonly runtime: string;
  readonly authSocket: string;
  readonly coreSocket: string;
}

/** A file as people would name it who stand in the home. */
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
    signingKey: at('state/signing-key.pem'),
    authState: at('state/auth.db'),
    lastPolicy: at('state/last-good-policy.json'),
    runtime: at('run'),
    authSocket: at('run/auth.sock'),
    coreSocket: at('run/core.sock'),
  };
}
