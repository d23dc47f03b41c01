import path from 'node:path';
import { z } from 'zod';
import { SECTIONS } from '../../config/schema.ts';
import { isLoopback } from '../../platform/network.ts';
import { DOCKER_HUB, parseUpstreamHost } from '../../registry/repository.ts';
import { expiryOf } from './go-duration.ts';
import { NOT_NEEDED, WITHOUT_EQUAL } from './registry-notes.ts';
import { formatShellWord } from './shell-word.ts';
import { yamlText } from './yaml-text.ts';

/**
 * The configuration of a `registry` 2.x or 3.x. Every value is checked, because any of them may contain a
 * secret.
 */
export const REGISTRY = z.looseObject({ version: z.unknown() }).refine((config) => {
  return config.version !== undefined && ['storage', 'proxy', 'http', 'auth'].some((key) => key in config);
});

/** A `hubgate.yaml`, with notes about it. */
export interface MigratedRegistry {
  /** The lines of each section. */
  readonly sections: ReadonlyMap<string, readonly string[]>;
  /** The differences here, and the steps to do by hand. */
  readonly notes: readonly string[];
  /** The settings of the file that are not carried over. */
  readonly left: readonly string[];
}

/** Collects the content of a `hubgate.yaml`. */
class Collector implements MigratedRegistry {
  readonly sections = new Map<string, string[]>();
  readonly notes: string[] = [];
  readonly left: string[] = [];
  readonly config: unknown;

  constructor(config: unknown) {
    this.config = config;
  }

  /** Returns the value at a path such as `http.tls.key`. */
  get(dotted: string): unknown {
    return dotted
      .split('.')
      .reduce<unknown>((value, key) => (isMap(value) ? value[key] : undefined), this.config);
  }

  /** Returns the text at a path; undefined if there is none. */
  text(dotted: string): string | undefined {
    const value = this.get(dotted);
    return typeof value === 'string' && value !== '' ? value : undefined;
  }

  add(section: string, ...lines: string[]): void {
    this.sections.set(section, [...(this.sections.get(section) ?? []), ...lines]);
  }

  /** Adds `key: value` if the loader of hubgate.yaml accepts it; otherwise it is left to be done by hand. */
  set<Section extends keyof typeof SECTIONS>(
    section: Section,
    key: keyof (typeof SECTIONS)[Section] & string,
    value: string,
    from: string,
  ): void {
    const schemas: Readonly<Record<string, z.ZodType>> = SECTIONS[section];
    const read = schemas[key]?.safeParse(value);
    if (read?.success === true) this.add(section, `${key}: ${yamlText(value)}`);
    else
      this.left.push(`${from} is not what ${section}.${key} takes: ${read?.error?.issues[0]?.message ?? ''}`);
  }
}

export function migrateRegistry(config: z.output<typeof REGISTRY>): MigratedRegistry {
  const collector = new Collector(config);
  migrateServer(collector);
  migrateTls(collector);
  migrateProxy(collector);
  migrateStorage(collector);
  migrateAuth(collector);
  migrateLog(collector);
  for (const [dotted, why] of WITHOUT_EQUAL)
    if (isThere(collector.get(dotted))) collector.left.push(`${dotted}: ${why}`);
  for (const [dotted, why] of NOT_NEEDED)
    if (isThere(collector.get(dotted))) collector.notes.push(`${dotted}: ${why}`);
  return collector;
}

function migrateServer(from: Collector): void {
  const host = URL.parse(from.text('http.host') ?? '');
  const [certified] = textsIn(from.get('http.tls.letsencrypt.hosts'));
  const listen = from.text('http.addr');
  const port = listen?.split(':').at(-1);
  const url =
    host?.protocol === 'https:'
      ? host.origin
      : certified === undefined
        ? undefined
        : `https://${certified}${port === '443' || port === undefined ? '' : `:${port}`}`;
  if (url === undefined) {
    from.left.push(
      'server.url: say there what clients type, such as https://mirror.corp:5000; tokens, challenges and the certificate follow from it',
    );
  } else {
    from.set('server', 'url', url, 'http.host');
  }
  if (from.get('http.net') === 'unix') from.left.push('http.net: a unix socket is not listened on');
  else if (listen !== undefined) from.set('server', 'listen', listen, 'http.addr');
  const admin = from.text('http.debug.addr');
  if (admin === undefined) return;
  from.set('server', 'admin', admin, 'http.debug.addr');
  from.notes.push(
    'http.debug: server.admin has /metrics, with metrics of its own names, /healthz and /readyz, and no pprof',
  );
}

/** The path is below the home, so that the file is found whatever the registry's working directory was. */
const CLIENT_AUTHORITIES = 'certs/client-ca.pem';

function migrateTls(from: Collector): void {
  const certificate = from.text('http.tls.certificate');
  const key = from.text('http.tls.key');
  if (certificate !== undefined && key !== undefined) {
    from.set('tls', 'certificate', certificate, 'http.tls.certificate');
    from.set('tls', 'key', key, 'http.tls.key');
    if ([certificate, key].some((file) => !path.isAbsolute(file)))
      from.notes.push('http.tls: a relative path is below the home here');
  } else if (!isThere(from.get('http.tls.letsencrypt'))) {
    from.notes.push(
      'That registry speaks plain HTTP; Hubgate speaks TLS only, with a certificate of its local CA. Clients must trust certs/ca.crt: see docs/certificates.md',
    );
  }
  migrateClientAuthorities(from);
}

/**
 * A registry with `auth` wants a login, whatever certificate a client presents. Here a certificate is enough,
 * so its authorities are left out then.
 */
function migrateClientAuthorities(from: Collector): void {
  const authorities = textsIn(from.get('http.tls.clientcas'));
  const [only] = authorities;
  if (only === undefined) return;
  if (isThere(from.get('auth'))) {
    from.left.push(
      'http.tls.clientcas is left out: there, a client needs a login as well as a certificate of theirs; here, a certificate alone would do. Set tls.clientCa only if everybody with such a certificate may pull without a login',
    );
    if (wantsClientCertificate(from))
      from.left.push(
        'auth: there, a login needs a certificate too; here, a password alone is enough. Import the users only if they may pull without a certificate',
      );
    return;
  }
  from.set('tls', 'clientCa', authorities.length === 1 ? only : CLIENT_AUTHORITIES, 'http.tls.clientcas');
  if (authorities.length > 1)
    from.notes.push(
      `http.tls.clientcas: cat ${authorities.map(formatShellWord).join(' ')} > ${CLIENT_AUTHORITIES}`,
    );
  from.notes.push(
    'http.tls.clientcas: whoever has a certificate of theirs is cert:NAME in access.yaml; nobody needs one, a password or a token does as well',
  );
}

/**
 * True if that registry serves nobody without a certificate. `clientcas` means this unless `clientauth` says
 * otherwise.
 */
function wantsClientCertificate(from: Collector): boolean {
  const mode = from.text('http.tls.clientauth') ?? 'require-and-verify-client-cert';
  return textsIn(from.get('http.tls.clientcas')).length > 0 && mode === 'require-and-verify-client-cert';
}

/** The names by which people mean Docker Hub. */
const HUB_HOSTS = new Set([
  'registry-1.docker.io',
  'index.docker.io',
  'docker.io',
  'registry.hub.docker.com',
  'hub.docker.com',
]);

function migrateProxy(from: Collector): void {
  const url = URL.parse(from.text('proxy.remoteurl') ?? '');
  if (url === null) {
    from.left.push(
      'It has no proxy.remoteurl that is an address: it holds images of its own, and Hubgate holds none. Keep it, and name it among the upstreams',
    );
    return;
  }
  const isHub = HUB_HOSTS.has(url.hostname);
  const host = isHub ? DOCKER_HUB : (parseUpstreamHost(url.host) ?? parseUpstreamHost(withPort(url)));
  if (host === undefined) {
    from.left.push(`proxy.remoteurl: ${url.host} cannot be the name of an upstream here`);
    return;
  }
  const lines = upstreamLines(from, url, host);
  from.add('upstreams', lines.length === 0 ? `${host}: {}` : `${host}:`, ...lines.map((line) => `  ${line}`));
  if (!isHub)
    from.notes.push(
      `proxy.remoteurl: an image without a host is Docker Hub’s here; those of this upstream are pulled as <mirror>/${host}/<image>. If it mirrors Docker Hub itself, write docker.io for ${host}, with url: ${addressOf(url)}`,
    );
  const kept = expiryOf(from.get('proxy.ttl'));
  if (kept === undefined) from.left.push('proxy.ttl is no duration: see cache.unusedFor');
  else from.set('cache', 'unusedFor', kept, 'proxy.ttl');
  from.notes.push(
    'proxy.ttl (168h, if not said) counts from the first pull of an image; cache.unusedFor counts from its last use. Beyond cache.maxSize the longest unused goes',
  );
}

function addressOf(url: URL): string {
  const segments = url.pathname.split('/').filter((segment) => segment !== '');
  return segments.join('/') === 'v2' ? url.origin : [url.origin, ...segments].join('/');
}

/** A host of one label needs its port: without one, clients take it for a path of Docker Hub. */
function withPort({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port === '' ? (protocol === 'http:' ? '80' : '443') : port}`;
}

function upstreamLines(from: Collector, url: URL, host: string): string[] {
  const isUsual = host === DOCKER_HUB || addressOf(url) === `https://${host}`;
  const lines = isUsual ? [] : [`url: ${yamlText(addressOf(url))}`];
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) lines.push('insecure: true');
  const username = from.text('proxy.username');
  const hasPassword = isThere(from.get('proxy.password'));
  if (username === undefined || !hasPassword) {
    if (username !== undefined || hasPassword)
      from.left.push('proxy: a username and a password belong together; neither is carried over');
    return lines;
  }
  const file = `state/${host.replace(/[^a-z0-9.-]/g, '_')}.password`;
  from.notes.push(
    `Put the password of proxy.password into ${file}: mkdir -p state && (umask 077; cat > ${file}), paste it, Ctrl-D. Better, make a read-only access token for it`,
  );
  return [...lines, `username: ${yamlText(username)}`, `passwordFile: ${yamlText(file)}`];
}

function migrateStorage(from: Collector): void {
  const root = from.text('storage.filesystem.rootdirectory');
  if (root !== undefined)
    from.set('cache', 'directory', path.posix.join(root, 'hubgate'), 'storage.filesystem.rootdirectory');
  from.notes.push(
    `storage: the cache is not taken over, it fills anew${root === undefined ? '' : `; ${path.posix.join(root, 'docker')} can go when the registry has ended`}`,
  );
}

function migrateAuth(from: Collector): void {
  const htpasswd = from.text('auth.htpasswd.path');
  if (htpasswd !== undefined) {
    from.notes.push(
      `auth.htpasswd: hubgate user import ${formatShellWord(htpasswd)} takes its users over, with their passwords where these are bcrypt`,
    );
  }
  if (isThere(from.get('auth.token')))
    from.left.push(
      'auth.token: tokens are Hubgate’s own; hubgate migrate reads the configuration of docker_auth too, other token services have no equal',
    );
  if (isThere(from.get('auth.silly'))) from.left.push('auth.silly has no equal');
  from.notes.push(`access.yaml: ${noteOnPolicy(from)}`);
}

function noteOnPolicy(from: Collector): string {
  if (isThere(from.get('auth')))
    return 'as it is shipped, whoever logs in may pull what is public. There they could pull whatever the upstream credential can read: add private: true to a rule for that';
  if (wantsClientCertificate(from))
    return 'that registry is open to everybody with a certificate. As it is shipped, they may pull what is public. There they could pull whatever the upstream credential can read: add private: true to a rule for that';
  return 'that registry is open to everybody. As it is shipped, people must log in here; to stay open for what is public: { id: open, pull: everything, to: anonymous }';
}

const LEVELS: Readonly<Record<string, string>> = { trace: 'debug', fatal: 'error', panic: 'error' };

function migrateLog(from: Collector): void {
  const level = from.text('log.level') ?? from.text('loglevel');
  if (level !== undefined) from.set('log', 'level', LEVELS[level] ?? level, 'log.level');
  const formatter = from.text('log.formatter');
  if (formatter !== undefined)
    from.set('log', 'format', formatter === 'logstash' ? 'json' : formatter, 'log.formatter');
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True if the setting exists and is not just switched off. */
function isThere(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '') return false;
  if (!isMap(value)) return true;
  return value.enabled !== false && value.disabled !== true && Object.keys(value).length > 0;
}

function textsIn(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter((one) => typeof one === 'string');
}
