import type { Brand } from './brand.ts';

/** The only name of a repository inside Hubgate, with its upstream: `docker.io/library/alpine`. */
export type RepositoryName = Brand<string, 'RepositoryName'>;

/** The key of `upstreams` in the configuration: a host, with its port if it has one. */
export type UpstreamHost = Brand<string, 'UpstreamHost'>;

export interface Repository {
  readonly upstream: UpstreamHost;
  /** The name that the upstream itself uses: `library/alpine`. */
  readonly path: string;
  readonly name: RepositoryName;
}

/** The names of hosted namespaces: all repositories below `acme-internal` or `team/base`. */
export type HostedNamespaces = ReadonlySet<string>;

/** The hosts that can be the first part of a name. Any other host there is unknown, and unknown is 404. */
export interface UpstreamNames {
  readonly upstreams: Pick<ReadonlySet<string>, 'has'>;
  /** The names under which clients reach this mirror. A `?ns=` with one of them has no meaning. */
  readonly self: ReadonlySet<string>;
  /** The namespaces of hosted repositories, such as `acme-internal`. Absent if nothing is hosted. */
  readonly hosted?: HostedNamespaces | undefined;
}

export const DOCKER_HUB = 'docker.io' as UpstreamHost;

/**
 * Takes the place of the upstream in the canonical name of a hosted repository: `hosted/acme-internal/app`.
 * It is no host, so no upstream can have this name.
 */
export const HOSTED = 'hosted' as UpstreamHost;

/**
 * The other names of Docker Hub that clients use: the reference grammar's default domain, and the API's own
 * host.
 */
const HUB_ALIASES: ReadonlySet<string> = new Set(['index.docker.io', 'registry-1.docker.io']);

const HOST = /^(?:[a-z0-9]+(?:[.-]+[a-z0-9]+)*)(?::[0-9]{1,5})?$/;

/** The `<name>` of the OCI distribution spec: path components joined by slashes. */
const PATH = (() => {
  const component = '[a-z0-9]+(?:(?:\\.|__?|-+)[a-z0-9]+)*';
  return new RegExp(`^${component}(?:/${component})*$`);
})();

/**
 * The greatest length in characters. The distribution spec advises that clients limit host and name together
 * to this.
 */
const MAX_NAME_LENGTH = 255;

/** True if a repository can have this name, with or without a host before it. */
export function isRepositoryPath(text: string): boolean {
  const [first = '', ...rest] = text.split('/');
  const path = looksLikeHost(first) && HOST.test(first) ? rest.join('/') : text;
  return text.length <= MAX_NAME_LENGTH && PATH.test(path);
}

/**
 * Parses a host that can precede a name. A single label without a port cannot, because there it means a path
 * of Docker Hub.
 */
export function parseUpstreamHost(text: string): UpstreamHost | undefined {
  return HOST.test(text) && looksLikeHost(text) ? (text as UpstreamHost) : undefined;
}

/**
 * True if the first component of a written name is a host. By Docker's reference grammar it is one only if it
 * has a dot or a port, or is `localhost`, and if a slash follows.
 */
export function looksLikeHost(component: string): boolean {
  return component === 'localhost' || component.includes('.') || component.includes(':');
}

/** True if the repository is stored here instead of mirrored. */
export function isHosted({ upstream }: Pick<Repository, 'upstream'>): boolean {
  return upstream === HOSTED;
}

/** True if a name without a host is in a namespace of hosted repositories. */
function isHostedPath(path: string, { hosted }: Pick<UpstreamNames, 'hosted'>): boolean {
  if (hosted === undefined) return false;
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1))
    if (hosted.has(path.slice(0, slash))) return true;
  return false;
}

/** Returns the canonical name of a host that has several. */
export function canonicalHost(host: UpstreamHost): UpstreamHost {
  return HUB_ALIASES.has(host) ? DOCKER_HUB : host;
}

/** Returns the upstream that a written host means; undefined if it is not mirrored. */
export function resolveUpstream(written: string, names: UpstreamNames): UpstreamHost | undefined {
  const host = parseUpstreamHost(written);
  const canonical = host === undefined ? undefined : canonicalHost(host);
  return canonical !== undefined && names.upstreams.has(canonical) ? canonical : undefined;
}

/**
 * Returns the repository at `path` of `upstream`. Docker Hub's official images get the `library/` that
 * clients leave out.
 */
export function repositoryAt(upstream: UpstreamHost, path: string): Repository | undefined {
  const full = upstream === DOCKER_HUB && !path.includes('/') ? `library/${path}` : path;
  const name = `${upstream}/${full}`;
  if (name.length > MAX_NAME_LENGTH || !PATH.test(full)) return undefined;
  return { upstream, path: full, name: name as RepositoryName };
}

/**
 * Returns one repository for every form in which clients write it: `alpine`, `library/alpine`,
 * `docker.io/library/alpine`, and with the upstream beside the name (`beside` has the values of `?ns=` and of
 * a path before `/v2/`). Returns undefined if the name is invalid, if the upstream is not mirrored, or if two
 * upstreams are named that differ. A name without an upstream that is in a hosted namespace is hosted and
 * nothing else, whatever exists. With an upstream it means the repository of that upstream.
 */
export function resolveRepository(
  written: string,
  beside: readonly string[],
  names: UpstreamNames,
): Repository | undefined {
  const slash = written.indexOf('/');
  const first = slash < 0 ? '' : written.slice(0, slash);
  const prefixed = looksLikeHost(first);
  const hosts = prefixed ? [first, ...beside] : beside;
  if (hosts.length === 0 && isHostedPath(written, names)) return repositoryAt(HOSTED, written);
  const upstreams = new Set(hosts.map((host) => resolveUpstream(host, names)));
  if (upstreams.size > 1) return undefined;
  const upstream = hosts.length === 0 ? resolveUpstream(DOCKER_HUB, names) : [...upstreams][0];
  return upstream === undefined
    ? undefined
    : repositoryAt(upstream, prefixed ? written.slice(slash + 1) : written);
}

/**
 * Returns the repository at exactly this path of exactly this upstream. One process sends both to another,
 * and neither is interpreted. Returns undefined if the upstream is not mirrored or the path is not the
 * canonical one.
 */
export function repositoryOf(upstream: string, path: string, names: UpstreamNames): Repository | undefined {
  if (upstream === HOSTED) return isHostedPath(path, names) ? repositoryAt(HOSTED, path) : undefined;
  const host = names.upstreams.has(upstream) ? parseUpstreamHost(upstream) : undefined;
  const repository = host === undefined ? undefined : repositoryAt(host, path);
  return repository?.path === path ? repository : undefined;
}

/**
 * Parses a canonical name, as the records of Hubgate have it. Nobody else writes names so. Records may be
 * older than the configuration, so its upstreams and namespaces make no difference.
 */
export function parseRepositoryName(name: string): Repository | undefined {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(0, slash));
  const upstream = first === HOSTED ? HOSTED : parseUpstreamHost(first);
  const repository = upstream === undefined ? undefined : repositoryAt(upstream, name.slice(slash + 1));
  return repository?.name === name ? repository : undefined;
}

/**
 * Returns the name that people write: without a host for Docker Hub, as in `docker pull`, and for a hosted
 * repository. A path of Docker Hub that begins like a host, or that is in a hosted namespace, keeps the host,
 * because without it the name would mean another repository.
 */
export function familiarName(
  { upstream, path, name }: Repository,
  names: Pick<UpstreamNames, 'hosted'>,
): string {
  if (upstream === HOSTED) return path;
  const [first = ''] = path.split('/');
  return upstream === DOCKER_HUB && !looksLikeHost(first) && !isHostedPath(path, names) ? path : name;
}
