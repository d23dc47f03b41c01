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
  username: optional(TEXT, 'none, that is, anonymously', 'Whose account is used there.'),
  passwordFile: optional(
    FILE,
    'none',
    'The file that holds the password, and nothing else. Followed while the mirror runs.',
  ),
  credentialHelper: optional(
    z.string(A_HELPER).regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, A_HELPER),
    'none',
    '`ecr-login`: the login is asked of the program `docker-credential-ecr-login`, in place of `username` and a password, see [upstreams.md](upstreams.md#short-lived-credentials).',
  ),
  credentialEnvironment: optional(
    z.array(
      z.string(A_VARIABLE).regex(/^[A-Za-z_][A-Za-z0-9_]*$/, A_VARIABLE),
      'a list of variables, such as [AWS_REGION]',
    ),
    'none more',
    'The variables of the environment that the helper is given, beside `PATH` and `HOME`. No other process receives them.',
  ),
};

const ACCOUNT_KEYS = {
  name: z
    .string(AN_ACCOUNT_NAME)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, AN_ACCOUNT_NAME)
    .meta({ description: 'What reports, metrics and the audit log call it.' }),
  ...LOGIN_KEYS,
  only: optional(
    oneOrMany(z.string(A_PATTERN).min(1, A_PATTERN)),
    'all that no other account is named for',
    'The repositories that it is used for, as patterns: `acme/pay-**`. It is used for nothing else, and no account without `only` is used for them.',
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
    '`https://<host>`; of docker.io `https://registry-1.docker.io`',
    'Where it is. `http://` on loopback, or with `insecure`. A path precedes the name of each repository, see [upstreams.md](upstreams.md#below-a-path).',
  ),
  ca: optional(
    FILE,
    'none more',
    'The certificates of authorities, as PEM, several too, that are trusted for this upstream, its token services and its redirects, beside the usual ones. Read at the start.',
  ),
  tokenServices: optional(
    z.array(TOKEN_SERVICE, 'a list of token services, such as ["https://login.other.example"]'),
    'none more',
    'Token services outside of its registrable domain to which the credential is sent. Without a credential none has to be named, see [upstreams.md](upstreams.md#token-services).',
  ),
  ...LOGIN_KEYS,
  password: optional(TEXT, 'none', 'Its password, which is shown nowhere. `passwordFile` is safer.'),
  accounts: optional(
    z.array(UPSTREAM_ACCOUNT, 'a list of accounts, each with a name, a username and a passwordFile'),
    'one, of `username`',
    'Several accounts, in place of `username`: each `{ name, username, passwordFile, only }`, or with a `credentialHelper`. See [upstreams.md](upstreams.md#several-accounts).',
  ),
  quota: optional(
    QUOTA,
    'what the upstream says of one',
    'The pulls that each account has there, where the upstream does not say it itself, see [upstreams.md](upstreams.md#quota).',
  ),
  bandwidth: optional(
    BANDWIDTH,
    'none',
    'The most bytes that all downloads from it take in a second, see [upstreams.md](upstreams.md#bandwidth).',
  ),
  insecure: setting(
    BOOLEAN,
    false,
    '`true`: this upstream, its token service and its redirects may be without TLS, at addresses of the same kind (loopback, private or public).',
  ),
};

/** The sections whose keys are all scalars, so that each can be set by the environment. */
export const SECTIONS = {
  server: {
    url: optional(
      origin(['https:'], 'the address that clients type, such as https://mirror.corp'),
      '`https://localhost:<port>`',
      'What clients type. Realm, service and certificate follow from it.',
    ),
    names: optional(
      z.array(TEXT, 'a list of names and addresses'),
      'this machine’s name',
      'More names and addresses for the certificate, beside those of `server.url` and localhost.',
    ),
    listen: setting(LISTEN_ADDRESS, ':8443', 'Where clients are served. Without a host: every address.'),
    admin: setting(
      LISTEN_ADDRESS,
      '127.0.0.1:9090',
      'Where `/metrics`, `/healthz` and `/readyz` are, by plain HTTP.',
    ),
    proxyProtocol: optional(
      NETWORKS_LIST,
      'nobody',
      'The balancers that write a PROXY header (version 1 or 2) before each connection, see [load-balancers.md](load-balancers.md). Required from them, and refused from all others.',
    ),
    trustedProxies: optional(
      NETWORKS_LIST,
      'nobody',
      'The proxies whose `X-Forwarded-For` counts, see [load-balancers.md](load-balancers.md). Each of them can claim any address for its client.',
    ),
    plain: optional(
      LISTEN_ADDRESS,
      'nowhere',
      'Where HTTP is served without TLS: to `trustedProxies` everything, because they end TLS; to all others only what `anonymous` may pull, and no request with a credential, see [load-balancers.md](load-balancers.md#without-tls).',
    ),
    catalog: setting(BOOLEAN, false, '`true`: `/v2/_catalog` lists what is cached and the caller may pull.'),
    workers: setting(
      z.union([z.literal('auto'), wholeNumber(1, 64, PROCESSES)], PROCESSES),
      'auto',
      'Gateway processes. `auto`: one for each CPU.',
    ),
  },
  tls: {
    certificate: setting(
      FILE,
      'certs/server.crt',
      'The server’s certificate. Reloaded when it or the key changes; made by the local CA if both settings and both files are absent.',
    ),
    key: setting(FILE, 'certs/server.key', 'Its private key.'),
    clientCa: optional(
      FILE,
      '`certs/ca.crt`, where it exists',
      'The certificates of those who may issue client certificates, as PEM, several too. Followed while the mirror runs.',
    ),
  },
  egress: {
    proxy: optional(
      PROXY,
      '`HTTPS_PROXY` and `HTTP_PROXY` of the environment, in either case',
      'The HTTP proxy by which upstreams, their token services and storages, and the issuers of federations are reached, see [upstreams.md](upstreams.md#behind-a-proxy). A login in it is shown nowhere; `passwordFile` is safer.',
    ),
    username: optional(TEXT, 'none', 'Who logs in to the proxy.'),
    passwordFile: optional(
      FILE,
      'none',
      'The file that holds the password for that, and nothing else. Read at each connection.',
    ),
    noProxy: optional(
      z.array(TEXT, 'a list of hosts, such as [.corp, 10.0.0.0/8]'),
      '`NO_PROXY` of the environment, in either case',
      'What is reached without the proxy: `corp.example` with all below it, `.corp.example` for what is below it, addresses and networks for hosts that are written as addresses, `*` for everything. A port may follow. This machine is never looked for behind a proxy.',
    ),
    ca: optional(
      FILE,
      'none more',
      'The certificates of authorities, as PEM, that are trusted for all of these beside the usual ones, as of a proxy that inspects TLS. Read at the start.',
    ),
  },
  core: {
    url: optional(
      origin(['https:', 'http:'], 'the address of a registry in proxy mode, such as http://registry:5000'),
      'none, that is, Hubgate’s own core',
      'A registry in the core’s place, see [external-core.md](external-core.md).',
    ),
  },
  cache: {
    directory: setting(FILE, 'data', 'Where the cache is.'),
    maxSize: setting(
      z.union([z.literal('auto'), SIZE], 'auto, or a size such as 512MiB, 100GiB or 2TiB'),
      'auto',
      'Above 95 % of it the longest unused goes, see [cache.md](cache.md#what-goes). `auto`: what the disk has, less a tenth of it or 20 GiB.',
    ),
    unusedFor: setting(duration(), '30d', 'Content that nobody has used for so long goes. `0`: never.'),
    tagFreshness: setting(
      duration(),
      '60s',
      'For so long a tag is answered without asking the upstream. `0`: it is asked every time.',
    ),
    staleIfError: setting(
      duration(),
      '7d',
      'For so long beyond that a copy stands in, while the upstream cannot be asked.',
    ),
    keepDeleted: optional(
      duration(),
      'as long as it is used',
      'For so long content that the upstream has deleted can still be pulled by its digest, see [cache.md](cache.md#what-was-deleted-upstream). `0`: not at all.',
    ),
  },
  // Clients assume that a token lives for at least 60 s. What a token grants stays valid for its whole
  // lifetime.
  token: {
    lifetime: setting(
      duration(60_000, 300_000, ' between 60s and 5m'),
      '5m',
      'For so long a token for `/v2/` is good.',
    ),
    longest: setting(
      duration(60_000),
      '365d',
      'The longest life that `hubgate token create` gives a service token. Tokens that exist already keep their end.',
    ),
    refresh: setting(
      REFRESH,
      'off',
      'For so long `docker login` may renew a login without the password, see [identities.md](identities.md#remembered-logins).',
    ),
  },
  // The minimum is OWASP's for argon2id; above the maximum, two logins at once would block everybody else's.
  passwords: {
    memory: setting(
      sizeBetween('19MiB', '1GiB'),
      '19MiB',
      'What a new password hash costs (argon2id), see [identities.md](identities.md#users).',
    ),
    passes: setting(wholeNumber(2, 10, 'a number of passes from 2 to 10'), 2, 'How often it goes over that.'),
  },
  log: {
    format: setting(
      z.enum(LOG_FORMATS, `one of ${LOG_FORMATS.join(', ')}`),
      'auto',
      '`auto`: `text` on a terminal, else `json`, one object a line.',
    ),
    level: setting(
      z.enum(LOG_LEVELS, `one of ${LOG_LEVELS.join(', ')}`),
      'info',
      'What is logged: this, and what is graver.',
    ),
    audit: setting(FILE, 'state/audit.log', 'One line for each decided request, see [audit.md](audit.md).'),
    auditOnFull: setting(
      z.enum(AUDIT_ON_FULL, `one of ${AUDIT_ON_FULL.join(', ')}`),
      'wait',
      'While the audit log cannot be written: `wait`: requests wait, for a few seconds; `refuse`: they are answered 503; `drop`: they are served. Lost lines are counted and logged.',
    ),
  },
};

export type EgressSettings = z.output<z.ZodObject<typeof SECTIONS.egress>>;

/** The descriptions of the sections, and of the entries of the maps beside them. */
export const ABOUT = {
  server: 'The front door.',
  tls: 'The certificates of the front door.',
  upstreams:
    'The registries that are mirrored, by their hosts, such as `ghcr.io` or `registry.corp:5000`. Docker Hub, `docker.io`, is always among them, except with `core.url`.',
  egress: 'The way out of the company’s network.',
  core: 'What stands behind the gate.',
  cache: 'What is kept, see [cache.md](cache.md).',
  hosted:
    'The repositories that are pushed here, see [hosted.md](hosted.md). Absent: nothing can be pushed. `namespaces` is a map of them.',
  token: 'The tokens that clients are given.',
  passwords: 'The hashes of people’s passwords.',
  federation:
    'Those elsewhere whose JWTs are logins here, by a name: their subjects are `oidc:<name>:…`, see [ci.md](ci.md).',
  log: 'What is written down.',
} as const;
