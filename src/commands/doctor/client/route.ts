import type { Finding } from '../checks.ts';
import type { HostFiles } from './host-files.ts';
import type { ProbedMirror } from './mirror.ts';

/**
 * A way in which a program of this host gets to the mirror for an image of Docker Hub, according to its
 * files.
 */
export interface PullRoute {
  /** The name of the program: `dockerd`, or `dockerd with the containerd store`. */
  readonly program: string;
  /** The file that sets up this route. */
  readonly file: string;
  /** The authorities that may sign the mirror's certificate, as PEM. They include the machine's own store. */
  readonly authorities: readonly string[];
  /** True if the program accepts every certificate of the mirror. */
  readonly isUnverified?: boolean;
  /** The path before the repository in its requests; absent: `/v2`. */
  readonly base?: string;
  /** The place where an authority has to be added. */
  readonly trustedIn: string;
  readonly certificate?: ClientCertificateFiles;
  /** The value of the header `Authorization`. */
  readonly authorization?: string;
  /** True if there may be logins that are in no file of the machine, such as a pod's or a user's own. */
  readonly mayLogIn: boolean;
  /**
   * The line that makes the program ask only the mirror; absent if it already does, or if nothing can be
   * done.
   */
  readonly closeBy?: string;
}

export interface ClientCertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** The result of reading the files of one program. */
export interface Program {
  readonly name: string;
  /** True if the program is on this host. */
  readonly isHere: boolean;
  readonly routes: readonly PullRoute[];
  /** The mistakes in the files themselves. */
  readonly findings: readonly Finding[];
  /** The advice on how to configure the program for the mirror. */
  readonly mend: string;
}

export type ReadProgram = (files: HostFiles, mirror: ProbedMirror) => Promise<Program>;

/**
 * The paths where Go looks for the machine's trust store. It uses the first that exists.
 * https://go.dev/src/crypto/x509/root_linux.go
 */
const STORES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export async function machineAuthorities(files: HostFiles): Promise<readonly string[]> {
  for (const store of STORES) {
    const text = await files.text(store);
    if (text !== undefined) return blocksIn(text);
  }
  return [];
}

export function blocksIn(text: string): readonly string[] {
  return text.match(BLOCK) ?? [];
}
