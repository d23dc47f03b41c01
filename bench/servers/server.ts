import type { TokenService } from '../../test/e2e/support/token-service.ts';
import type { BenchImage } from '../content.ts';
import type { Upstream } from './upstream.ts';

export type ServerName = 'hubgate' | 'docker-registry' | 'registry3' | 'zot' | 'nginx' | 'nginx-64k';

/** A server under measurement, alone with its own processes, on loopback with TLS. */
export interface BenchServer extends AsyncDisposable {
  readonly name: ServerName;
  /** The root of its process tree. */
  readonly pid: number;
  readonly port: number;
  /** Of a request for the bench's repository; good for some minutes. Undefined where there is no authentication. */
  authorization(): Promise<string | undefined>;
}

export interface StartOptions {
  /** Its own, empty. */
  readonly directory: string;
  readonly tls: { readonly certificate: string; readonly key: string; readonly ca: string };
  readonly upstream: Upstream;
  readonly tokens: TokenService;
  /** Where there is a file for each digest of `images`. */
  readonly contentDirectory: string;
  /** What it is to hold from the start; undefined: nothing, and it is to fetch from the upstream. */
  readonly images: readonly BenchImage[] | undefined;
}

export interface ServerKind {
  readonly name: ServerName;
  readonly about: string;
  /** Why it cannot be measured here; undefined: it can. */
  missing(): Promise<string | undefined>;
  /** Whether it can be a cache in front of the stand-in Hub. */
  readonly mirrors: boolean;
  start(options: StartOptions): Promise<BenchServer>;
}
