/**
 * What hubgate.yaml comes to, defaults and environment included. The rooms are given plain values from it; only this
 * room and `bin` know of relative paths and of the environment. It is plain data, for it goes to the roles as JSON.
 */
import type { AuditOnFull } from '../platform/audit-on-full.ts';
import type { LogOptions } from '../platform/log.ts';
import type { UpstreamHost } from '../registry/repository.ts';
import { type Egress, NO_EGRESS } from './egress.ts';
import type { Federation } from './federation.ts';
import type { ListenAddress } from './values.ts';

export interface Config {
  readonly server: {
    /** What clients type: an origin. Realm, service and certificate follow from it. */
    readonly url: string;
    /** Every name and address that the certificate must cover, the URL's own among them. */
    readonly names: readonly string[];
    readonly listen: ListenAddress;
    readonly admin: ListenAddress;
    /** The networks of balancers that write a PROXY header. */
    readonly proxyProtocol: readonly string[];
    /** The networks of proxies whose `X-Forwarded-For` counts. */
    readonly trustedProxies: readonly string[];
    /** Where HTTP is served without TLS; absent: nowhere. */
    readonly plain?: ListenAddress;
    /** Is `_catalog` served? */
    readonly catalog: boolean;
    /** Gateway processes. */
    readonly workers: number | 'auto';
  };
  readonly tls: {
    readonly certificate: string;
    readonly key: string;
    /** Who may issue client certificates; absent: the local CA, where there is one. */
    readonly clientCa?: string;
  };
  readonly upstreams: readonly Upstream[];
  readonly egress: Egress;
  /** The origin of an external core; absent: the built-in one. */
  readonly coreUrl?: string;
  readonly cache: {
    readonly directory: string;
    /** Bytes. */
    readonly maxSize: number | 'auto';
    /** Milliseconds after which content goes that nobody has used; 0: never. */
    readonly unusedFor: number;
    /** Milliseconds for which a tag is answered without asking the upstream. */
    readonly tagFreshness: number;
    /** Milliseconds for which a tag goes on being answered while the upstream cannot be asked. */
    readonly staleIfError: number;
    /**
     * Milliseconds for which the cache keeps content that an upstream has deleted; if absent, it keeps the
     * content as long as it is used.
     */
    readonly keepDeleted?: number;
  };
  /** Milliseconds. */
  readonly tokenLifetime: number;
  /** The longest lifetime of a new service token, in milliseconds. */
  readonly longestToken: number;
  /** Milliseconds for which a client may renew a login without the password; absent: it may not. */
  readonly refreshLifetime?: number;
  /** What new password hashes cost, by argon2id. */
  readonly passwords: {
    /** Bytes. */
    readonly memory: number;
    readonly passes: number;
  };
  readonly federations: readonly Federation[];
  readonly log: LogOptions & { readonly audit: string; readonly auditOnFull: AuditOnFull };
}

export interface Upstream {
  readonly host: UpstreamHost;
  /** It may have a path. */
  readonly url: string;
  readonly insecure: boolean;
  /** The file of authorities that are trusted for it beside the usual ones. */
  readonly ca?: string;
  /** Origins. */
  readonly tokenServices?: readonly string[];
  readonly credential?: Credential;
}

/** Held or read by the core alone. */
export type Credential =
  | ({ readonly username: string } & ({ readonly password: string } | { readonly passwordFile: string }))
  /** A program that is asked for a login, and its environment. */
  | { readonly helper: string; readonly environment: Readonly<Record<string, string>> };

/** What auth is given, and the gateways: the credentials of upstreams are the core's alone. */
export function settingsFor(role: 'auth' | 'gateway', config: Config): Config {
  const upstreams = config.upstreams.map(({ credential: _, ...upstream }) => upstream);
  // Auth asks the issuers of federations; the gateways ask nobody outside.
  const isAsking = role === 'auth' && config.federations.length > 0;
  return { ...config, upstreams, egress: isAsking ? config.egress : NO_EGRESS };
}
