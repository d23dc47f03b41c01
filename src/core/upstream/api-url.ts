/**
 * The path under which an upstream serves the distribution API. The path of its URL precedes the name of
 * every repository: `https://harbor.corp/hub` serves `library/alpine` as `/v2/hub/library/alpine`. If the
 * path contains the segment `v2`, the part before it precedes the API: `https://nexus.corp/repository/hub/v2`
 * serves it as `/repository/hub/v2/library/alpine`.
 */
interface ApiPath {
  /** The root of the API, such as `/v2/`. */
  readonly root: string;
  /** The prefix of every name, such as `hub/`, or empty. */
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

/** Returns the root of the API, which answers whether a login is valid. */
export function apiRoot(url: URL): URL {
  return new URL(apiPathOf(url).root, url);
}

/** Returns the name that the upstream uses for the repository in its URLs and in the scopes of its tokens. */
export function nameThere(url: URL, path: string): string {
  return `${apiPathOf(url).prefix}${path}`;
}

export function resourceUrl(url: URL, path: string, resource: string): URL {
  return new URL(`${apiPathOf(url).root}${nameThere(url, path)}/${resource}`, url);
}

/**
 * Returns the prefix of every repository's name there, without a slash at its end. It is empty for most
 * upstreams.
 */
export function prefixThere(url: URL): string {
  return apiPathOf(url).prefix.replace(/\/$/, '');
}
