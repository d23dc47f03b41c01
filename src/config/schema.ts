/**
 * The keys of hubgate.yaml: their valid values, their defaults, and what they do. Every key is optional. The
 * schema for editors (`hubgate schema config`) and docs/configuration.md are made from this file, so that
 * they cannot differ from it.
 */
import { z } from 'zod';
import { AUDIT_ON_FULL } from '../platform/audit-on-full.ts';
import { LOG_FORMATS, LOG_LEVELS } from '../platform/log.ts';
import { oneOrMany, section } from '../platform/yaml/yaml-schema.ts';
import {
  BANDWIDTH,
  BOOLEAN,
  duration,
  LISTEN_ADDRESS,
  NETWORKS_LIST,
  origin,
  PROXY,
  QUOTA,
  registryUrl,
  SIZE,
  sizeBetween,
  wholeNumber,
} from './values.ts';

const TEXT = z.string('a text').min(1, 'a text');
const FILE = z.string('a path').min(1, 'a path');
/** The time in milliseconds. With `off`, clients cannot renew a login without the password. */
const REFRESH = z.union(
  [z.literal('off').transform(() => undefined), duration(60_000)],
  'off, or a duration such as 90d',
);

const A_HELPER = 'the name of a credential helper without docker-credential-, such as ecr-login';
const A_VARIABLE = 'the name of a variable, such as AWS_REGION';

const AN_ACCOUNT_NAME = 'a name of letters, digits and . _ -, such as main';
const A_PATTERN = 'a pattern of repositories, such as acme/pay-**';

const TOKEN_SERVICE = origin(['https:', 'http:'], 'a token service, such as https://login.other.example');

const PROCESSES = 'auto, or a number of processes from 1 to 64';

/** Defines a key whose default is `usual`, as people write it. */
function setting<Schema extends z.ZodType>(schema: Schema, usual: z.input<Schema>, does: string) {
  // `usual` is never undefined, because an undefined default would be no default.
  return schema.prefault(usual as never).meta({ description: does });
}

/** Defines a key that may be missing; `without` describes what happens then. */
export function optional<Schema extends z.ZodType>(schema: Schema, without: string, does: string) {
  return schema.optional().meta({ description: does, without });
}

/** The keys of the login to an upstream that need no password in the file itself. */
const LOGIN_KEYS = {
  username: optional(
    TEXT,
    'none: Hubgate pulls anonymously',
    'The user name of the account at the upstream.',
  ),
  passwordFile: optional(FILE, 'none', 'The file that holds the password, and nothing else. It is followed.'),
  credentialHelper: optional(
    z.string(A_HELPER).regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, A_HELPER),
    'none',
    'The program that gives the login, instead of `username` and a password: `ecr-login` means `docker-credential-ecr-login`. See [upstreams.md](upstreams.md#short-lived-credentials).',
  ),
  credentialEnvironment: optional(
    z.array(
      z.string(A_VARIABLE).regex(/^[A-Za-z_][A-Za-z0-9_]*$/, A_VARIABLE),
      'a list of variables, such as [AWS_REGION]',
    ),
    'none',
    'The environment variables that the helper receives in addition to `PATH` and `HOME`. No other process receives them.',
  ),
};

const ACCOUNT_KEYS = {
  name: z
    .string(AN_ACCOUNT_NAME)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, AN_ACCOUNT_NAME)
    .meta({ description: 'The name of the account in reports, metrics and the audit log.' }),
  ...LOGIN_KEYS,
  only: optional(
    oneOrMany(z.string(A_PATTERN).min(1, A_PATTERN)),
    'all that no other account is for',
    'The repositories for which the account is used, as patterns: `acme/pay-**`. It is used for no others, and no account without `only` is used for these.',
  ),
};

export const UPSTREAM_ACCOUNT = section(ACCOUNT_KEYS, {
  id: 'name',
  user: 'username',
  login: 'username',
  token: 'passwordFile',
  pass: 'passwordFile',
  password: 'an account has its password in a file; write passwordFile',
});

export const UPSTREAM_KEYS = {
  url: optional(
    registryUrl('the address of a registry, such as https://registry-1.docker.io or https://harbor.corp/hub'),
    '`https://<host>`, for docker.io `https://registry-1.docker.io`',
    'The address of the registry. `http://` is allowed on loopback, or with `insecure`. A path precedes the name of each repository, see [upstreams.md](upstreams.md#below-a-path).',
  ),
  ca: optional(
    FILE,
    'none',
    'A PEM file with one or more authorities that are trusted for this upstream, its token services and its redirects, in addition to the usual ones. It is read at the start.',
  ),
  tokenServices: optional(
    z.array(TOKEN_SERVICE, 'a list of token services, such as ["https://login.other.example"]'),
    'none',
    'Token services on other registrable domains that may receive the credential. Without a credential none has to be listed, see [upstreams.md](upstreams.md#token-services).',
  ),
  ...LOGIN_KEYS,
  password: optional(TEXT, 'none', 'The password. Hubgate shows it nowhere, but `passwordFile` is safer.'),
  accounts: optional(
    z.array(UPSTREAM_ACCOUNT, 'a list of accounts, each with a name, a username and a passwordFile'),
    'one, of `username`',
    'Several accounts, instead of `username`: each has the keys `name`, `username`, `passwordFile` and `only`, or a `credentialHelper`. See [upstreams.md](upstreams.md#several-accounts).',
  ),
  quota: optional(
    QUOTA,
    'what the upstream reports',
    'The pulls that each account may make, if the upstream does not report it. See [upstreams.md](upstreams.md#quota).',
  ),
  bandwidth: optional(
    BANDWIDTH,
    'none',
    'The most bytes a second for all downloads from this upstream together. See [upstreams.md](upstreams.md#bandwidth).',
  ),
  insecure: setting(
    BOOLEAN,
    false,
    '`true` allows this upstream, its token service and its redirects to be without TLS, at addresses of the same kind (loopback, private or public).',
  ),
};

/** The sections whose keys are all scalars, so that each can be set by the environment. */
export const SECTIONS = {
  server: {
    url: optional(
      origin(['https:'], 'the address that clients type, such as https://mirror.corp'),
      '`https://localhost:<port>`',
      'The address that clients type. The login address and the certificate follow from it.',
    ),
    names: optional(
      z.array(TEXT, 'a list of names and addresses'),
      'this machine’s name',
      'More names and addresses for the certificate, in addition to those of `server.url` and localhost.',
    ),
    listen: setting(
      LISTEN_ADDRESS,
      ':8443',
      'Where the mirror listens for clients. Without a host it listens on every address.',
    ),
    admin: setting(
      LISTEN_ADDRESS,
      '127.0.0.1:9090',
      'Where the mirror serves `/metrics`, `/healthz` and `/readyz`, by plain HTTP.',
    ),
    proxyProtocol: optional(
      NETWORKS_LIST,
      'nobody',
      'The balancers that write a PROXY header (version 1 or 2) before each connection. The header is required from them, and refused from all others. See [load-balancers.md](load-balancers.md).',
    ),
    trustedProxies: optional(
      NETWORKS_LIST,
      'nobody',
      'The proxies whose `X-Forwarded-For` counts. Each of them can claim any address for its client. See [load-balancers.md](load-balancers.md).',
    ),
    plain: optional(
      LISTEN_ADDRESS,
      'nowhere',
      'Where the mirror serves HTTP without TLS. `trustedProxies` get everything, because they end TLS. All others get only what `anonymous` may pull, and their requests with a credential are refused. See [load-balancers.md](load-balancers.md#without-tls).',
    ),
    catalog: setting(
      BOOLEAN,
      false,
      '`true` makes `/v2/_catalog` list the cached repositories that the caller may pull.',
    ),
    workers: setting(
      z.union([z.literal('auto'), wholeNumber(1, 64, PROCESSES)], PROCESSES),
      'auto',
      'The number of gateway processes. `auto` means one for each CPU.',
    ),
  },
  tls: {
    certificate: setting(
      FILE,
      'certs/server.crt',
      'The server’s certificate. It is followed. The local CA makes it if both settings and both files are absent. See [certificates.md](certificates.md).',
    ),
    key: setting(FILE, 'certs/server.key', 'The private key of the certificate. It is followed.'),
    clientCa: optional(
      FILE,
      '`certs/ca.crt`, if it exists',
      'A PEM file with one or more authorities that may issue client certificates. It is followed. See [identities.md](identities.md#client-certificates).',
    ),
  },
  egress: {
    proxy: optional(
      PROXY,
      '`HTTPS_PROXY` and `HTTP_PROXY` of the environment, in upper or lower case',
      'The HTTP proxy for upstreams, their token services and storages, the issuers of federations and identity providers. Hubgate never shows a login in it, but `passwordFile` is safer. See [upstreams.md](upstreams.md#behind-a-proxy).',
    ),
    username: optional(TEXT, 'none', 'The user name for the proxy.'),
    passwordFile: optional(
      FILE,
      'none',
      'The file that holds the password for the proxy, and nothing else. It is read at each connection.',
    ),
    noProxy: optional(
      z.array(TEXT, 'a list of hosts, such as [.corp, 10.0.0.0/8]'),
      '`NO_PROXY` of the environment, in upper or lower case',
      'The hosts that are reached without the proxy. `corp.example` also means all names below it, `.corp.example` only the names below it, and `*` everything. Addresses and networks match hosts that are written as addresses. A port may follow. This machine is never reached through a proxy.',
    ),
    ca: optional(
      FILE,
      'none',
      'A PEM file with authorities that are trusted for all of these in addition to the usual ones, for example the one of a proxy that inspects TLS. It is read at the start.',
    ),
  },
  core: {
    url: optional(
      origin(['https:', 'http:'], 'the address of a registry in proxy mode, such as http://registry:5000'),
      'none: Hubgate’s own core',
      'A registry that replaces Hubgate’s own core. See [external-core.md](external-core.md).',
    ),
  },
  cache: {
    directory: setting(FILE, 'data', 'The directory of the cache.'),
    maxSize: setting(
      z.union([z.literal('auto'), SIZE], 'auto, or a size such as 512MiB, 100GiB or 2TiB'),
      'auto',
      'The size limit. Above 95 % of it the least recently used content is evicted. `auto` means the disk without a reserve of a tenth, at most 20 GiB. See [cache.md](cache.md#what-goes).',
    ),
    unusedFor: setting(
      duration(),
      '30d',
      'Content that nobody has used for this time is evicted. `0` means never.',
    ),
    tagFreshness: setting(
      duration(),
      '60s',
      'How long a tag is served without asking the upstream. `0` means that it is asked every time.',
    ),
    staleIfError: setting(
      duration(),
      '7d',
      'How much longer a stale copy may be served while the upstream cannot be asked.',
    ),
    keepDeleted: optional(
      duration(),
      'as long as somebody uses it',
      'How long content that the upstream has deleted can still be pulled by its digest. `0` means not at all. See [cache.md](cache.md#what-was-deleted-upstream).',
    ),
  },
  // Clients assume that a token lives for at least 60 s. What a token grants stays valid for its whole
  // lifetime.
  token: {
    lifetime: setting(
      duration(60_000, 300_000, ' between 60s and 5m'),
      '5m',
      'How long a token for `/v2/` is valid.',
    ),
    longest: setting(
      duration(60_000),
      '365d',
      'The longest lifetime that `hubgate token create` gives a service token. Existing tokens keep their end.',
    ),
    refresh: setting(
      REFRESH,
      'off',
      'How long `docker login` may renew a login without the password. See [identities.md](identities.md#remembered-logins).',
    ),
  },
  // The minimum is OWASP's for argon2id; above the maximum, two logins at once would block everybody else's.
  passwords: {
    memory: setting(
      sizeBetween('19MiB', '1GiB'),
      '19MiB',
      'The argon2id memory for each hash. See [identities.md](identities.md#users).',
    ),
    passes: setting(wholeNumber(2, 10, 'a number of passes from 2 to 10'), 2, 'The argon2id iterations.'),
  },
  log: {
    format: setting(
      z.enum(LOG_FORMATS, `one of ${LOG_FORMATS.join(', ')}`),
      'auto',
      '`text` is for people. `json` is one object a line. `auto` means `text` on a terminal, and `json` otherwise.',
    ),
    level: setting(
      z.enum(LOG_LEVELS, `one of ${LOG_LEVELS.join(', ')}`),
      'info',
      'The minimum level to log.',
    ),
    audit: setting(
      FILE,
      'state/audit.log',
      'The file with one line for each decided request. See [audit.md](audit.md).',
    ),
    auditOnFull: setting(
      z.enum(AUDIT_ON_FULL, `one of ${AUDIT_ON_FULL.join(', ')}`),
      'wait',
      'What happens to requests while the audit log cannot be written. `wait`: they wait for a few seconds. `refuse`: they are answered with 503. `drop`: they are served. Lost lines are counted and logged. See [audit.md](audit.md#no-line-is-lost-silently).',
    ),
  },
};

export type EgressSettings = z.output<z.ZodObject<typeof SECTIONS.egress>>;

/** The descriptions of the sections, and of the entries of the maps beside them. */
export const ABOUT = {
  server: 'The listeners, and how clients reach them.',
  tls: 'The certificates of the public listener.',
  upstreams:
    'The registries that are mirrored, by their hosts, such as `ghcr.io` or `registry.corp:5000`. Docker Hub, `docker.io`, is always one of them, except with `core.url`. See [upstreams.md](upstreams.md).',
  egress: 'How Hubgate reaches the Internet.',
  core: 'What the gateway asks for content.',
  cache: 'What is cached, and for how long. See [cache.md](cache.md).',
  hosted:
    'Repositories that clients push to Hubgate. If the section is absent, nothing can be pushed. `namespaces` is a map of them. See [hosted.md](hosted.md).',
  cluster:
    'Several Hubgates that work as one. If the section is absent, this home works alone. See [cluster.md](cluster.md).',
  token: 'The tokens that Hubgate issues.',
  passwords: 'The cost of password hashes.',
  federation:
    'External token issuers whose JWTs are accepted as logins, by a name. Their subjects are `oidc:<name>:…`. See [ci.md](ci.md).',
  login:
    'The directories in which people log in, by a name: each has either `oidc` or `ldap`. Their groups are `group:<name>/…` in a policy. See [logins.md](logins.md).',
  log: 'The log and the audit log.',
} as const;
