import type { Finding } from '../checks.ts';
import type { HostFiles } from './host-files.ts';
import type { Mirror } from './mirror.ts';

/** One way on which a program of this host comes to the mirror for an image of Docker Hub, as its files say. */
export interface Route {
  /** Whose: `dockerd`, or `dockerd, by hosts.toml`. */
  readonly program: string;
  /** That says so. */
  readonly file: string;
  /** By whom the mirror's certificate may be signed, as PEM, the machine's own store among them. */
  readonly authorities: readonly string[];
  /** True if the program takes whatever certificate the mirror shows. */
  readonly isUnverified?: boolean;
  /** What its requests begin with, before the repository; absent: `/v2`. */
  readonly base?: string;
  /** Where an authority is to be put. */
  readonly trustedIn: string;
  readonly certificate?: ClientCertificateFiles;
  /** The value of the header `Authorization`. */
  readonly authorization?: string;
  /** Can logins come along that are in no file of the machine, such as a pod's or a user's own? */
  readonly mayLogIn: boolean;
  /** What to do for that it asks nobody else; absent where it does not, or where nothing can be done. */
  readonly closeBy?: string;
}

export interface ClientCertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** What the files of one program come to. */
export interface Program {
  readonly name: string;
  /** Is it on this host at all? */
  readonly isHere: boolean;
  readonly routes: readonly Route[];
  /** What is wrong with the files themselves. */
  readonly findings: readonly Finding[];
  /** How it is pointed at the mirror. */
  readonly mend: string;
}

export type ReadProgram = (files: HostFiles, mirror: Mirror) => Promise<Program>;

/** Where Go looks for the machine's trust store: the first of them counts. https://go.dev/src/crypto/x509/root_linux.go */
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
