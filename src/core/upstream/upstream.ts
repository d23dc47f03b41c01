import type { UpstreamHost } from '../../registry/repository.ts';

/** An upstream as the core is given it. */
export interface UpstreamOptions {
  readonly host: UpstreamHost;
  readonly url: URL;
  readonly credential?: UpstreamCredential;
}

export type UpstreamCredential = { readonly username: string } & (
  | { readonly password: string }
  | { readonly passwordFile: string }
);

/**
 * As whom an upstream is asked. What `anonymous` may read is public; `account` is the configured credential where there
 * is one, and anonymous too where there is none.
 */
export type Identity = 'anonymous' | 'account';
