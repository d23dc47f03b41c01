import type { RepositoryName, UpstreamHost } from '../../registry/repository.ts';

/** The configuration of an upstream in the core. */
export interface UpstreamOptions {
  readonly host: UpstreamHost;
  /** The URL of the registry. Its path precedes the name of every repository, see `api-url.ts`. */
  readonly url: URL;
  /** True if its token service and its redirects may be without TLS. For an `http:` URL they always may. */
  readonly insecure?: boolean;
  /** The certificates of additional trusted authorities, as PEM. */
  readonly authorities?: readonly string[];
  /** The origins of token services outside of its registrable domain that may get the credential. */
  readonly tokenServices?: readonly string[];
  /** Absent if there is none, or if there are `accounts`. */
  readonly credential?: UpstreamCredential;
  /** Several accounts, in place of one credential. */
  readonly accounts?: readonly UpstreamAccount[];
  /** The pulls that each account has, if the upstream does not report them. */
  readonly quota?: StatedQuota;
  /** The most bytes of all downloads in a second. */
  readonly bandwidth?: number;
}

export interface StatedQuota {
  readonly pulls: number;
  readonly windowMs: number;
}

/** The name of the account of an upstream that has only one. */
export const DEFAULT_ACCOUNT = 'default';

export interface UpstreamAccount {
  readonly name: string;
  readonly credential: UpstreamCredential;
  /** Tells which repositories it is used for, and for nothing else. Absent: for all that remain. */
  readonly only?: (repository: RepositoryName) => boolean;
}

export type UpstreamCredential =
  | ({ readonly username: string } & ({ readonly password: string } | { readonly passwordFile: string }))
  /** A program that gives a short-lived login, and the environment that it is started with. */
  | { readonly helper: string; readonly environment: Readonly<Record<string, string>> };

/**
 * The identity with which an upstream is asked. Content that `anonymous` may read is public. `account` is the
 * configured credential; without one it is anonymous too.
 */
export type UpstreamIdentity = 'anonymous' | 'account';
