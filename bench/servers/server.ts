import type { TokenService } from '../../test/e2e/support/token-service.ts';
import type { BenchImage } from '../content.ts';
import type { Upstream } from './upstream.ts';

export type ServerName = 'hubgate' | 'docker-registry' | 'registry3' | 'zot' | 'nginx' | 'nginx-64k';

/** A server under measurement with its own processes only, on loopback with TLS. */
export interface BenchServer extends AsyncDisposable {
  readonly name: ServerName;
  /** The root of its process tree. */
  readonly pid: number;
  readonly port: number;
  /**
   * Returns the header for requests that pull from the bench's repository or from another one, and push to
   * that, which is valid for some minutes; undefined if there is no authentication.
   */
  authorization(repository?: string): Promise<string | undefined>;
}

export interface StartOptions {
  /** A directory for this server alone, which is empty. */
  readonly directory: string;
  readonly tls: { readonly certificate: string; readonly key: string; readonly ca: string };
  readonly upstream: Upstream;
  readonly tokens: TokenService;
  /** The directory with a file for each digest of `images`. */
  readonly contentDirectory: string;
  /** The images that it has from the start; undefined: none, and it fetches from the upstream. */
  readonly images: readonly BenchImage[] | undefined;
  /** True if clients also push. A registry that has images takes pushes in any case. */
  readonly isPushedTo?: boolean;
}

export interface ServerKind {
  readonly name: ServerName;
  readonly about: string;
  /** Returns why it cannot be measured here; undefined if it can. */
  missing(): Promise<string | undefined>;
  /** True if it can be a cache in front of the stand-in Hub. */
  readonly mirrors: boolean;
  start(options: StartOptions): Promise<BenchServer>;
}
