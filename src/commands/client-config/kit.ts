/** What one client is given: files by the paths that they have on its machine, and what there is to say of them. */

/** What a client has to know of the mirror. */
export interface Mirror {
  /** An origin. */
  readonly url: string;
  /** As names of images have it: `mirror.corp`, with a port where it is not 443. */
  readonly host: string;
  /** Of the registries that it mirrors. */
  readonly upstreams: readonly string[];
  /** The local CA's certificate as PEM; absent: the server's is from elsewhere, and the machine has to trust that. */
  readonly ca?: string;
}

export interface Asked {
  readonly mirror: Mirror;
  /** Of the subject: a node, a service account, a person, or a CI's project. */
  readonly name: string;
  /** Is the way around the mirror to be closed, where the client can? */
  readonly strict: boolean;
}

/** A certificate is a daemon's or a node's, a token a service account's; `none`: nothing is kept, or a person's own password. */
export type CredentialKind = 'certificate' | 'token' | 'none';

/** What the users file has by a name. */
export type Account = 'service' | 'person';

export type Content =
  | { readonly text: string }
  | { readonly of: 'certificate' | 'key' }
  | { readonly withToken: (token: string) => string }
  | { readonly withPair: (pair: Pair) => string };

/** A client certificate and its key, as PEM. */
export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

export interface ClientFile {
  /** Absolute: where it lies on the client's machine. Relative: wherever it is wanted. */
  readonly path: string;
  readonly mode: 0o644 | 0o600;
  readonly content: Content;
}

/** Lines for people, in the order in which they are needed. */
export interface Notes {
  /** What may be there already, and has to be put together by hand. */
  readonly merge: readonly string[];
  readonly reload: readonly string[];
  /** Commands, and what they print when all is well. */
  readonly check: readonly string[];
  /** Which clients and pulls it does not reach. */
  readonly notReached: readonly string[];
  /** What happens when the mirror refuses. */
  readonly fallback: readonly string[];
}

export interface Kit {
  readonly credential: CredentialKind;
  /** As the policy and the record name who asks. */
  readonly subject: string;
  readonly files: readonly ClientFile[];
  readonly notes: Notes;
}

export interface Refusal {
  readonly refusal: string;
  /** 2 where the call itself is wrong; else 1. */
  readonly code?: 2;
}

export function isSecret({ content }: ClientFile): boolean {
  return 'withToken' in content || 'withPair' in content || ('of' in content && content.of === 'key');
}

/**
 * The mirror's host with its port, also where that is 443. To clients that compare the text this is another registry than the one
 * in names that begin with the mirror's own name: the certificate belongs to the first one, and such names go by their own login.
 */
export function mirrorAddress({ host }: Pick<Mirror, 'host'>): string {
  return /:\d+$/.test(host) ? host : `${host}:443`;
}

/** The two hosts without which nobody pulls from Docker Hub. */
export const HUB_HOSTS = 'registry-1.docker.io and auth.docker.io';

/** The proof that a pull came here, as the right subject. */
export function auditLine(subject: string): string {
  return `${explicitAuditLine(subject)}; if not, it went to Docker Hub`;
}

/** The same, where there is nowhere else to go. */
export function explicitAuditLine(subject: string): string {
  return `on the mirror: hubgate audit --since 5m --subject ${subject}   shows the pull`;
}
