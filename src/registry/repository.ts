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

/** The hosts that can be the first part of a name. Any other host there is unknown, and unknown is 404. */
export interface UpstreamNames {
  readonly upstreams: Pick<ReadonlySet<string>, 'has'>;
  /** The names under which clients reach this mirror. A `?ns=` with one of them has no meaning. */
  readonly self: ReadonlySet<string>;
}

export const DOCKER_HUB = 'docker.io' as UpstreamHost;

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
 * upstreams are named that differ.
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
export function repositoryOf(
  upstream: string,
  path: string,
  { upstreams }: UpstreamNames,
): Repository | undefined {
  const host = upstreams.has(upstream) ? parseUpstreamHost(upstream) : undefined;
  const repository = host === undefined ? undefined : repositoryAt(host, path);
  return repository?.path === path ? repository : undefined;
}

/**
 * Returns the name that people write: without a host for Docker Hub, as in `docker pull`. A path that begins
 * like a host keeps the host, because without it the name would mean a repository of another upstream.
 */
export function familiarName({ upstream, path, name }: Repository): string {
  const [first = ''] = path.split('/');
  return upstream === DOCKER_HUB && !looksLikeHost(first) ? path : name;
}
