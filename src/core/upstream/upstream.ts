import type { UpstreamHost } from '../../registry/repository.ts';

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
  readonly credential?: UpstreamCredential;
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
