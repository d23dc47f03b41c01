import type { UpstreamHost } from '../../registry/repository.ts';

/** An upstream as the core is given it. */
export interface UpstreamOptions {
  readonly host: UpstreamHost;
  /** Where it is. A path precedes the name of every repository, see `api-url.ts`. */
  readonly url: URL;
  /** May its token service and its redirects be without TLS? For an `http:` URL they may. */
  readonly insecure?: boolean;
  /** Certificates of authorities, as PEM, which are trusted for it beside the usual ones. */
  readonly authorities?: readonly string[];
  /** Origins of token services outside of its registrable domain that may be shown the credential. */
  readonly tokenServices?: readonly string[];
  readonly credential?: UpstreamCredential;
}

export type UpstreamCredential =
  | ({ readonly username: string } & ({ readonly password: string } | { readonly passwordFile: string }))
  /** A program that gives a short-lived login, and the environment that it is started with. */
  | { readonly helper: string; readonly environment: Readonly<Record<string, string>> };

/**
 * As whom an upstream is asked. What `anonymous` may read is public; `account` is the configured credential where there
 * is one, and anonymous too where there is none.
 */
export type Identity = 'anonymous' | 'account';
