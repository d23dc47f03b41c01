/**
 * The configuration after hubgate.yaml, the defaults and the environment have been combined. The modules get
 * plain values from it: no path is relative, and only `bin`, `launch`, `commands` and `config` know of the
 * environment. It is plain data, because it is sent to the roles as JSON.
 */
import type { AuditOnFull } from '../platform/audit-on-full.ts';
import type { LogOptions } from '../platform/log.ts';
import type { UpstreamHost } from '../registry/repository.ts';
import type { ClusterConfig } from './cluster.ts';
import { type Egress, NO_EGRESS } from './egress.ts';
import type { Federation } from './federation.ts';
import type { HostedConfig } from './hosted.ts';
import type { DirectoryLogin } from './login.ts';
import type { ListenAddress, PullQuota } from './values.ts';

export interface Config {
  readonly server: {
    /** The origin that clients use. Realm, service and certificate follow from it. */
    readonly url: string;
    /** Every name and address that the certificate must cover, including that of the URL. */
    readonly names: readonly string[];
    readonly listen: ListenAddress;
    readonly admin: ListenAddress;
    /** The networks of balancers that write a PROXY header. */
    readonly proxyProtocol: readonly string[];
    /** The networks of proxies whose `X-Forwarded-For` is trusted. */
    readonly trustedProxies: readonly string[];
    /** The address for HTTP without TLS; absent if there is none. */
    readonly plain?: ListenAddress;
    /** True if `_catalog` is served. */
    readonly catalog: boolean;
    /** The number of gateway processes. */
    readonly workers: number | 'auto';
  };
  readonly tls: {
    readonly certificate: string;
    readonly key: string;
    /**
     * The file of the authorities that may issue client certificates; absent: the local CA, if there is one.
     */
    readonly clientCa?: string;
  };
  readonly upstreams: readonly Upstream[];
  readonly egress: Egress;
  /** The origin of an external core; absent: the built-in one. */
  readonly coreUrl?: string;
  readonly cache: {
    readonly directory: string;
    /** The size in bytes. */
    readonly maxSize: number | 'auto';
    /** The time in milliseconds after which content that nobody has used is removed; 0: never. */
    readonly unusedFor: number;
    /** The time in milliseconds for which a tag is answered without asking the upstream. */
    readonly tagFreshness: number;
    /** The time in milliseconds for which a tag is still answered while the upstream cannot be asked. */
    readonly staleIfError: number;
    /**
     * The time in milliseconds for which the cache keeps content that an upstream has deleted; if absent, it
     * keeps the content as long as it is used.
     */
    readonly keepDeleted?: number;
  };
  /** The cluster; absent if this home works alone. */
  readonly cluster?: ClusterConfig;
  /** The name of this node of the cluster, for roles that do not know the database. */
  readonly node?: string;
  /** The hosted repositories; absent if nothing is hosted. */
  readonly hosted?: HostedConfig;
  /** The lifetime in milliseconds. */
  readonly tokenLifetime: number;
  /** The longest lifetime of a new service token, in milliseconds. */
  readonly longestToken: number;
  /**
   * The time in milliseconds for which a client may renew a login without the password; absent: it may not.
   */
  readonly refreshLifetime?: number;
  /** The cost of new password hashes (argon2id). */
  readonly passwords: {
    /** The size in bytes. */
    readonly memory: number;
    readonly passes: number;
  };
  readonly federations: readonly Federation[];
  /** The logins of directories. */
  readonly logins: readonly DirectoryLogin[];
  readonly log: LogOptions & { readonly audit: string; readonly auditOnFull: AuditOnFull };
}

export interface Upstream {
  readonly host: UpstreamHost;
  /** The URL of the registry, which may have a path. */
  readonly url: string;
  readonly insecure: boolean;
  /** The file of authorities that are trusted for it in addition to the usual ones. */
  readonly ca?: string;
  /** The origins of the token services. */
  readonly tokenServices?: readonly string[];
  /** Absent if there is none, or if there are `accounts`. */
  readonly credential?: UpstreamCredentialConfig;
  /** Several accounts, in place of one credential. It is never empty. */
  readonly accounts?: readonly UpstreamAccountConfig[];
  /** The pulls of each account, for an upstream that does not report them. */
  readonly quota?: PullQuota;
  /** The most bytes of all downloads in a second. */
  readonly bandwidth?: number;
}

export interface UpstreamAccountConfig {
  readonly name: string;
  readonly credential: UpstreamCredentialConfig;
  /** The patterns of the repositories that it is used for; absent if it is used for all others. */
  readonly only?: readonly string[];
}

/** Only the core has or reads it. */
export type UpstreamCredentialConfig =
  | ({ readonly username: string } & ({ readonly password: string } | { readonly passwordFile: string }))
  /** A credential helper, which is a program that is asked for a login, and its environment. */
  | { readonly helper: string; readonly environment: Readonly<Record<string, string>> };

/** Returns the credentials of an upstream, each with the place of its keys below the upstream. */
export function credentialsOf({ credential, accounts = [] }: Upstream): readonly PlacedCredential[] {
  const all = accounts.map((account, index) => ({
    at: ['accounts', index],
    credential: account.credential,
  }));
  return credential === undefined ? all : [{ at: [], credential }, ...all];
}

interface PlacedCredential {
  readonly at: readonly PropertyKey[];
  readonly credential: UpstreamCredentialConfig;
}

/**
 * Returns the configuration for auth, a gateway or the account page. It has no credentials for upstreams and
 * none for the object store, because only the core may have them.
 */
export function settingsFor(role: 'auth' | 'gateway' | 'account', config: Config): Config {
  const upstreams = config.upstreams.map(({ credential: _, accounts: _none, ...upstream }) => upstream);
  // Auth connects to issuers and directories; the gateways connect to nobody outside.
  const isAsking = role === 'auth' && config.federations.length + config.logins.length > 0;
  const { cluster, ...others } = config;
  return {
    ...others,
    upstreams,
    logins: role === 'auth' ? config.logins : [],
    egress: isAsking ? config.egress : NO_EGRESS,
    // The gateways and the account page do not know the database.
    ...(role === 'auth' && cluster && { cluster: withoutObjects(cluster) }),
  };
}

function withoutObjects({ objects: _, ...cluster }: ClusterConfig): ClusterConfig {
  return cluster;
}
