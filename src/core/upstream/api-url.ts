/**
 * Where an upstream serves the distribution API. The path of its URL precedes the name of every repository:
 * `https://harbor.corp/hub` serves `library/alpine` as `/v2/hub/library/alpine`. If the path contains the segment `v2`, what
 * stands before it precedes the API: `https://nexus.corp/repository/hub/v2` serves it as `/repository/hub/v2/library/alpine`.
 */
interface ApiPath {
  /** `/v2/` */
  readonly root: string;
  /** Empty, or `hub/` */
  readonly prefix: string;
}

const API = 'v2';

function apiPathOf(url: URL): ApiPath {
  const segments = url.pathname.split('/').filter((segment) => segment !== '');
  const at = segments.indexOf(API);
  const before = at < 0 ? [] : segments.slice(0, at);
  const after = segments.slice(at + 1);
  return {
    root: `/${[...before, API].join('/')}/`,
    prefix: after.map((segment) => `${segment}/`).join(''),
  };
}

/** The root of the API, which answers whether a login is good. */
export function apiRoot(url: URL): URL {
  return new URL(apiPathOf(url).root, url);
}

/** `path` as the upstream names the repository: in its URLs, and in the scopes of its tokens. */
export function nameThere(url: URL, path: string): string {
  return `${apiPathOf(url).prefix}${path}`;
}

export function resourceUrl(url: URL, path: string, resource: string): URL {
  return new URL(`${apiPathOf(url).root}${nameThere(url, path)}/${resource}`, url);
}

/** What precedes the name of each repository there, without a slash at its end; empty for most upstreams. */
export function prefixThere(url: URL): string {
  return apiPathOf(url).prefix.replace(/\/$/, '');
}
