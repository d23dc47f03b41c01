import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { readAuthorities } from '../platform/authority-file.ts';
import { byPosition, type Parsed } from '../platform/fault.ts';
import { isLoopback } from '../platform/network.ts';
import { propertyOf } from '../platform/object-properties.ts';
import { reasonOf } from '../platform/reason.ts';
import { readIfPresent, whileAnswering } from '../platform/regular-file.ts';
import { tooOpen, whyTooOpen } from '../platform/secret-file.ts';
import { parseYaml } from '../platform/yaml/yaml-document.ts';
import { PartReader, section } from '../platform/yaml/yaml-schema.ts';
import { canonicalHost, DOCKER_HUB, parseUpstreamHost, type UpstreamHost } from '../registry/repository.ts';
import { readCluster } from './cluster.ts';
import { keyFilesOf } from './cluster-objects.ts';
import { type Config, credentialsOf, type Upstream } from './config.ts';
import { readEgress } from './egress.ts';
import { type Environment, overlay } from './environment.ts';
import { readFederations } from './federation.ts';
import { readHosted } from './hosted.ts';
import { filesOfLogins, readDirectoryLogins } from './login.ts';
import { SECTIONS, UPSTREAM_KEYS } from './schema.ts';
import { type LoadContext, readLogins } from './upstream-logins.ts';

export interface Home {
  /** An absolute path. */
  readonly directory: string;
  readonly environment: Environment;
  /** True if this process reads the secret files. Only then is an unreadable one a fault. */
  readonly readsSecrets: boolean;
  /** True if this process serves clients. Only then is a missing `tls.clientCa` a fault. */
  readonly servesClients?: boolean;
  /** True if a secret file that others can access is a fault, which it is for a start. */
  readonly judgesModes?: boolean;
  /** True if only roles are started that need not know the database of the cluster. */
  readonly needsNoDatabase?: boolean;
}

const ANYTHING = z.unknown().optional();

const KEYS = section({
  ...Object.fromEntries(Object.keys(SECTIONS).map((key) => [key, ANYTHING])),
  upstreams: ANYTHING,
  hosted: ANYTHING,
  cluster: ANYTHING,
  federation: ANYTHING,
  login: ANYTHING,
});
const UPSTREAMS = z.record(z.string(), ANYTHING, 'a map of upstreams by host').nullish();
const UPSTREAM = section(UPSTREAM_KEYS, {
  user: 'username',
  login: 'username',
  token: 'password',
  pass: 'password',
});

/**
 * Reads `config/hubgate.yaml` in `home`; the file may be absent. All faults of the file and the environment
 * are reported at once.
 */
export async function loadConfig(home: Home): Promise<Parsed<Config>> {
  const source = path.join('config', 'hubgate.yaml');
  const file = path.join(home.directory, source);
  const bytes = await readIfPresent(file).catch((error: Error) => error);
  if (bytes instanceof Error) return { faults: [{ source, message: `cannot be read: ${reasonOf(bytes)}` }] };
  const read = parseYaml(source, bytes?.toString('utf8') ?? '');
  if ('faults' in read) return read;
  const { yaml, faults } = overlay(read.yaml, home.environment);
  const parts = new PartReader(yaml);
  const { federations, warnings } = readFederations(parts);
  const config = { ...build(parts, home), federations };
  if (home.readsSecrets) await checkAuthorities(parts, config);
  if (home.readsSecrets) await checkSecretFiles(parts, config, home.judgesModes ?? false);
  // Only the file is checked, because it does not contain the values of the environment.
  const why =
    home.readsSecrets && home.judgesModes && holdsPassword(read.yaml.data)
      ? await whyTooOpen(file)
      : undefined;
  if (why !== undefined) faults.push({ source, message: `it holds a password, and ${why}` });
  if (home.servesClients) await checkClientCa(parts, config);
  if (home.servesClients && home.judgesModes) faults.push(...(await tooOpen([config.tls.key])));
  const all = [...faults, ...parts.faults].toSorted(byPosition);
  return all.length > 0 ? { faults: all } : { value: config, warnings };
}

function build(
  parts: PartReader,
  { directory, readsSecrets, environment, needsNoDatabase = false }: Home,
): Omit<Config, 'federations'> {
  parts.read([], KEYS);
  const { server, tls, egress, core, cache, token, passwords, log } = readSections(parts);
  const { keepDeleted, ...cacheSettings } = cache;
  const { plain, proxyProtocol = [], trustedProxies = [], ...others } = server;
  const { listen, admin } = others;
  if (plain !== undefined && plain.port !== 0 && [listen.port, admin.port].includes(plain.port))
    parts.fault(
      ['server', 'plain'],
      `port ${plain.port} is also that of ${plain.port === listen.port ? 'server.listen' : 'server.admin'}; choose another one`,
    );
  const url = server.url ?? new URL(`https://localhost:${listen.port}`);
  const at = (file: string) => path.resolve(directory, file);
  const externalCore = core.url !== undefined;
  const hosted = readHosted(parts, { externalCore, at });
  const cluster = readCluster(parts, { externalCore, isHosting: hosted !== undefined, needsNoDatabase, at });
  return {
    server: {
      ...others,
      proxyProtocol,
      trustedProxies,
      ...(plain && { plain }),
      url: url.origin,
      names: [
        ...new Set([
          url.hostname.replace(/^\[|\]$/g, ''),
          ...(server.names ?? [hostname()]),
          'localhost',
          '127.0.0.1',
          '::1',
        ]),
      ],
    },
    tls: {
      certificate: at(tls.certificate),
      key: at(tls.key),
      ...(tls.clientCa && { clientCa: at(tls.clientCa) }),
    },
    upstreams: readUpstreams(parts, { externalCore, readsSecrets, at, environment }),
    egress: readEgress(parts, egress, environment, at),
    ...(core.url && { coreUrl: core.url.origin }),
    cache: {
      ...cacheSettings,
      directory: at(cache.directory),
      ...(keepDeleted !== undefined && { keepDeleted }),
    },
    ...(hosted && { hosted }),
    ...cluster,
    tokenLifetime: token.lifetime,
    longestToken: token.longest,
    ...(token.refresh !== undefined && { refreshLifetime: token.refresh }),
    passwords,
    logins: readDirectoryLogins(parts, at),
    log: { ...log, audit: at(log.audit) },
  };
}

function readSections(parts: PartReader) {
  const read = <Key extends keyof typeof SECTIONS>(key: Key) => {
    const schema = section(SECTIONS[key]);
    // After a fault the defaults are used, so that the other faults are found too.
    return parts.read([key], schema.nullish()) ?? schema.parse({});
  };
  return {
    server: read('server'),
    tls: read('tls'),
    egress: read('egress'),
    core: read('core'),
    cache: read('cache'),
    token: read('token'),
    passwords: read('passwords'),
    log: read('log'),
  };
}

/**
 * Docker Hub is always among the upstreams, except in front of an external core that mirrors something else.
 */
function readUpstreams(parts: PartReader, context: LoadContext): readonly Upstream[] {
  const { externalCore } = context;
  const hosts = Object.keys(parts.read(['upstreams'], UPSTREAMS) ?? {});
  if (externalCore && hosts.length > 1) {
    parts.fault(
      ['upstreams', hosts[1] ?? ''],
      'a core at core.url mirrors one upstream; name just that one',
      'key',
    );
  }
  const wanted = externalCore && hosts.length > 0 ? hosts : [...new Set([DOCKER_HUB, ...hosts])];
  return wanted.flatMap((text): Upstream[] => {
    const host = parseUpstreamHost(text);
    if (host !== undefined && canonicalHost(host) === host) return [readUpstream(parts, host, context)];
    parts.fault(['upstreams', text], whyNoUpstream(text), 'key');
    return [];
  });
}

/** Returns why clients could not write this host before a name, or would mean something else by it. */
function whyNoUpstream(text: string): string {
  const host = parseUpstreamHost(text);
  if (host !== undefined)
    return `"${text}" is another name of ${canonicalHost(host)}; write ${canonicalHost(host)}`;
  const bare = text
    .toLowerCase()
    .replace(/^[a-z]+:\/\//, '')
    .replace(/\/.*$/, '');
  const within = bare === text ? undefined : parseUpstreamHost(bare);
  if (within !== undefined) return `"${text}" is no host; write ${canonicalHost(within)}`;
  if (parseUpstreamHost(`${text}:443`) === undefined)
    return `"${text}" is no host; expected one such as ghcr.io or registry.corp:5000`;
  return (
    `"${text}" has neither a dot nor a port, so that "${text}/tool" means ${DOCKER_HUB}/${text}/tool to every client; ` +
    `write "${text}:443", or its full name, and "url: https://${text}" below it`
  );
}

function readUpstream(parts: PartReader, host: UpstreamHost, context: LoadContext): Upstream {
  const path = ['upstreams', host];
  const given = parts.read(path, UPSTREAM.nullish()) ?? UPSTREAM.parse({});
  const url = given.url ?? new URL(`https://${host === DOCKER_HUB ? 'registry-1.docker.io' : host}`);
  const { insecure, ca, tokenServices, quota, bandwidth } = given;
  if (url.protocol === 'http:' && !insecure && !isLoopback(url.hostname))
    parts.fault([...path, 'url'], withoutTls(url));
  for (const [index, service] of (tokenServices ?? []).entries())
    if (service.protocol === 'http:' && !insecure && url.protocol === 'https:')
      parts.fault([...path, 'tokenServices', index], withoutTls(service));
  const { at } = context;
  const logins = readLogins(parts, host, given, context);
  return {
    host,
    url: url.pathname === '/' ? url.origin : url.href,
    insecure,
    ...(ca !== undefined && { ca: at(ca) }),
    ...(tokenServices && { tokenServices: tokenServices.map(({ origin }) => origin) }),
    ...logins,
    ...(quota && { quota }),
    ...(bandwidth !== undefined && { bandwidth }),
  };
}

function withoutTls({ origin }: URL): string {
  return `${origin} would be asked without TLS; use https, or say "insecure: true"`;
}

/** True if an upstream, or the URL of the proxy or of the database, has a password in the file. */
function holdsPassword(data: unknown): boolean {
  const { proxy } = Object(propertyOf(data, 'egress'));
  const { database } = Object(propertyOf(data, 'cluster'));
  // A URL with a password has a colon before the at sign.
  if ([proxy, database].some((url) => typeof url === 'string' && /:\/\/[^/@]*:[^/@]*@/.test(url)))
    return true;
  if (typeof proxy === 'string' && proxy.includes('@')) return true;
  const upstreams = UPSTREAMS.safeParse(propertyOf(data, 'upstreams')).data ?? {};
  return Object.values(upstreams).some((upstream) => Object.hasOwn(Object(upstream), 'password'));
}

async function checkClientCa(parts: PartReader, { tls: { clientCa } }: Config): Promise<void> {
  const read = clientCa === undefined ? { value: [] } : await readAuthorities(clientCa);
  if ('faults' in read) parts.fault(['tls', 'clientCa'], `the file ${read.faults[0]?.message}`);
}

async function checkAuthorities(parts: PartReader, { upstreams, egress, logins }: Config): Promise<void> {
  const files = [
    ...upstreams.map(({ host, ca }) => ({ path: ['upstreams', host, 'ca'], ca })),
    { path: ['egress', 'ca'], ca: egress.ca },
    ...filesOfLogins(logins).flatMap(({ path, file, kind }) => (kind === 'ca' ? [{ path, ca: file }] : [])),
  ];
  for (const { path, ca } of files) {
    const read = ca === undefined ? { value: [] } : await readAuthorities(ca);
    if ('faults' in read) parts.fault(path, `the file ${read.faults[0]?.message}`);
  }
}

async function checkSecretFiles(parts: PartReader, config: Config, judgesModes: boolean): Promise<void> {
  const secrets = [
    ...config.upstreams.flatMap((upstream) =>
      credentialsOf(upstream).map(({ at, credential }) => ({
        path: ['upstreams', upstream.host, ...at],
        credential,
      })),
    ),
    { path: ['egress'], credential: config.egress.https?.login },
  ];
  for (const { path, credential } of secrets) {
    if (credential === undefined || !('passwordFile' in credential)) continue;
    await checkSecretFile(parts, [...path, 'passwordFile'], credential.passwordFile, judgesModes);
  }
  for (const [key, file] of keyFilesOf(config.cluster?.objects))
    await checkSecretFile(parts, ['cluster', 'objects', key], file, judgesModes);
  for (const { path, file, kind } of filesOfLogins(config.logins))
    if (kind === 'secret') await checkSecretFile(parts, path, file, judgesModes);
}

async function checkSecretFile(
  parts: PartReader,
  path: readonly PropertyKey[],
  file: string,
  judgesModes: boolean,
): Promise<void> {
  const problem = (await problemOf(file)) ?? (judgesModes ? await whyTooOpen(file) : undefined);
  if (problem !== undefined) parts.fault(path, `the secret file ${problem}`);
}

/** Checks a secret file without reading it, because only the core may read it. */
async function problemOf(file: string): Promise<string | undefined> {
  try {
    await whileAnswering(file, () => access(file, constants.R_OK));
    const stats = await whileAnswering(file, () => stat(file));
    if (stats.isDirectory()) return 'is a directory';
    if (!stats.isFile()) return 'is not a regular file';
    return stats.size === 0 ? 'is empty' : undefined;
  } catch (error) {
    return `cannot be read: ${reasonOf(error)}`;
  }
}
