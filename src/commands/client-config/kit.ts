/** A kit is what one client gets: files with their paths on its machine, and notes for its administrator. */

/** The facts about the mirror that a client has to know. */
export interface KitMirror {
  /** The origin of the mirror. */
  readonly url: string;
  /** The host as names of images have it: `mirror.corp`, with a port if it is not 443. */
  readonly host: string;
  /** The hosts of the mirrored registries. */
  readonly upstreams: readonly string[];
  /**
   * The local CA's certificate as PEM; absent if the server's certificate is from another authority, which
   * the machine must then trust.
   */
  readonly ca?: string;
}

export interface KitRequest {
  readonly mirror: KitMirror;
  /** The name of the subject: a node, a service account, a person, or a project of a CI. */
  readonly name: string;
  /** True if the client must ask the mirror alone, as far as the client can be set up so. */
  readonly strict: boolean;
}

/**
 * A daemon or a node has a certificate, and a service account a token. With `none`, nothing is stored, or a
 * person uses their own password.
 */
export type CredentialKind = 'certificate' | 'token' | 'none';

/** The kind of account that the users file has for a name. */
export type KitAccount = 'service' | 'person';

export type Content =
  | { readonly text: string }
  | { readonly of: 'certificate' | 'key' }
  | { readonly withToken: (token: string) => string }
  | { readonly withPair: (pair: KeyPairFiles) => string };

/** A client certificate and its key, as PEM. */
export interface KeyPairFiles {
  readonly certificate: string;
  readonly key: string;
}

export interface ClientFile {
  /**
   * An absolute path is that on the client's machine. A relative path is for a file whose place the user
   * chooses.
   */
  readonly path: string;
  readonly mode: 0o644 | 0o600 | 0o755;
  readonly content: Content;
}

/** Lines for people, in the order in which they need them. */
export interface Notes {
  /** The settings that may exist already and must be merged by hand. */
  readonly merge: readonly string[];
  readonly reload: readonly string[];
  /** Commands, and what they print if all is well. */
  readonly check: readonly string[];
  /** The clients and pulls that the kit does not reach. */
  readonly notReached: readonly string[];
  /** The lines that say what happens when the mirror refuses. */
  readonly fallback: readonly string[];
}

export interface ClientKit {
  readonly credential: CredentialKind;
  /** The subject as the policy and the audit log name it. */
  readonly subject: string;
  readonly files: readonly ClientFile[];
  readonly notes: Notes;
}

export interface KitRefusal {
  readonly refusal: string;
  /** 2 if the call itself is wrong; otherwise 1. */
  readonly code?: 2;
}

export function holdsSecret({ content }: ClientFile): boolean {
  return 'withToken' in content || 'withPair' in content || ('of' in content && content.of === 'key');
}

/**
 * Returns the mirror's host with its port, even if that is 443. For clients that compare the text, this is
 * another registry than the one in names that begin with the mirror's own name: the certificate belongs to
 * the first, and such names use their own login.
 */
export function mirrorAddress({ host }: Pick<KitMirror, 'host'>): string {
  return /:\d+$/.test(host) ? host : `${host}:443`;
}

/** The two hosts that a pull from Docker Hub needs. */
export const HUB_HOSTS = 'registry-1.docker.io and auth.docker.io';

/** Returns the line that proves that a pull came to the mirror, as the right subject. */
export function auditLine(subject: string): string {
  return `${explicitAuditLine(subject)}; if not, it went to Docker Hub`;
}

/** Returns the same line for a client that can ask nothing but the mirror. */
export function explicitAuditLine(subject: string): string {
  return `on the mirror: hubgate audit --since 5m --subject ${subject}   shows the pull`;
}

/** Returns the subject of an account, as the policy and the audit log name it. */
export function accountSubject(name: string, account: KitAccount): string {
  return `${account === 'service' ? 'service' : 'user'}:${name}`;
}

/** Returns the credential in the kit of an account. A person types a password of their own. */
export function accountCredential(account: KitAccount): CredentialKind {
  return account === 'service' ? 'token' : 'none';
}
