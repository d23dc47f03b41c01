import { type Digest, parseDigest } from './digest.ts';
import type { ErrorName } from './error.ts';
import { formatPage, type Page, parsePage } from './page.ts';
import { formatReference, parseReference, type Reference } from './reference.ts';
import {
  isRepositoryPath,
  type Repository,
  resolveRepository,
  resolveUpstream,
  type UpstreamNames,
} from './repository.ts';

/** The parsed target of a request on `/v2/`. This is the only way from a request target to a repository. */
export type Route =
  | { readonly kind: 'ping' }
  | { readonly kind: 'manifest'; readonly repository: Repository; readonly reference: Reference }
  | { readonly kind: 'blob'; readonly repository: Repository; readonly digest: Digest }
  | { readonly kind: 'tags'; readonly repository: Repository; readonly page: Page }
  | { readonly kind: 'referrers'; readonly repository: Repository; readonly digest: Digest }
  | { readonly kind: 'catalog'; readonly page: Page }
  /** The beginning of a push. It can only be refused, so it need not name a repository that exists. */
  | { readonly kind: 'upload' };

/** A route that concerns one repository, so that the policy decides about it. */
export type RepositoryRoute = Extract<Route, { repository: Repository }>;

export type ParsedTarget = { readonly route: Route } | { readonly refusal: ErrorName };

/**
 * The bytes that a path may contain. `%` is not one of them, and neither are `\`, spaces, controls and
 * non-ASCII. Except for the colon of a digest nothing here is decoded or normalised, so that the authorized
 * name is literally the one that is fetched.
 */
const PATH_BYTES = /^\/[A-Za-z0-9._:@/+-]*$/;
/** The colon of a digest at the end of a path, as `encodeURIComponent` writes it. Nothing else is decoded. */
const ENCODED_COLON = /(?<=\/sha(?:256|512))%3[Aa](?=[0-9a-f]{64,128}$)/;
const BEFORE_V2 = /^\/([^/]+)(\/v2(?:\/.*)?)$/;
const TAGS = '/tags/list';
const UPLOAD = '/blobs/uploads/';

/** The prefix of the resource in the target of a request to the core. */
export const CORE_PULL_PATH = '/pull/';

const UNKNOWN: ParsedTarget = { refusal: 'NAME_UNKNOWN' };

/**
 * Parses a raw request target (`req.url`) by the distribution spec's grammar and the mirror's own forms:
 * `/v2/<name>/…`, `/v2/<upstream>/<name>/…`, `/<upstream>/v2/<name>/…`, each with or without
 * `?ns=<upstream>`.
 */
export function parseTarget(target: string, names: UpstreamNames): ParsedTarget {
  const mark = target.indexOf('?');
  const path = (mark < 0 ? target : target.slice(0, mark)).replace(ENCODED_COLON, ':');
  if (!PATH_BYTES.test(path)) return UNKNOWN;
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
  const ns = query.getAll('ns').filter((host) => !names.self.has(host));
  const [before, rest] = splitBeforeV2(path);
  const beside = before === undefined ? ns : [before, ...ns];
  if (beside.some((host) => resolveUpstream(host, names) === undefined)) return UNKNOWN;
  if (rest === '/v2' || rest === '/v2/') return { route: { kind: 'ping' } };
  if (!rest.startsWith('/v2/')) return UNKNOWN;
  return parseResource(rest.slice('/v2/'.length), query, (name) => resolveRepository(name, beside, names));
}

/**
 * Parses a request that a gateway sends to the core: the repository, as two values that were decided before
 * and are not interpreted again, and the resource below it (`resourceOf`) in the target.
 */
export function parseCorePull(
  target: string,
  repository: Repository | undefined,
): { readonly route: RepositoryRoute } | { readonly refusal: ErrorName } {
  if (repository === undefined || !target.startsWith(CORE_PULL_PATH)) return { refusal: 'NAME_UNKNOWN' };
  const [resource = '', query = ''] = target.slice(CORE_PULL_PATH.length).split('?', 2);
  const parsed = parseResource(`/${resource}`, new URLSearchParams(query), (name) =>
    name === '' ? repository : undefined,
  );
  if ('refusal' in parsed) return parsed;
  return 'repository' in parsed.route ? { route: parsed.route } : { refusal: 'BAD_REQUEST' };
}

function splitBeforeV2(path: string): [before: string | undefined, rest: string] {
  const match = BEFORE_V2.exec(path);
  return match?.[1] === undefined || match[2] === undefined || match[1] === 'v2'
    ? [undefined, path]
    : [match[1], match[2]];
}

function parseResource(
  resource: string,
  query: URLSearchParams,
  resolve: (name: string) => Repository | undefined,
): ParsedTarget {
  if (resource === '_catalog') return parseCatalog(query);
  if (`${resource}/`.indexOf(UPLOAD) > 0) return { route: { kind: 'upload' } };
  const [name, kind, last] = splitResource(resource);
  const repository = resolve(name);
  if (repository === undefined) return isMalformed(name) ? { refusal: 'NAME_INVALID' } : UNKNOWN;
  if (kind === 'tags/list') {
    const page = parsePage(query);
    return page === undefined ? { refusal: 'BAD_REQUEST' } : { route: { kind: 'tags', repository, page } };
  }
  if (kind === 'manifests') {
    const reference = parseReference(last);
    return reference === undefined
      ? { refusal: whyNoReference(last) }
      : { route: { kind: 'manifest', repository, reference } };
  }
  if (kind !== 'blobs' && kind !== 'referrers') return UNKNOWN;
  const digest = parseDigest(last);
  if (digest === undefined) return { refusal: 'DIGEST_INVALID' };
  return { route: { kind: kind === 'blobs' ? 'blob' : 'referrers', repository, digest } };
}

/**
 * True if no repository can have the name. A path with empty or dotted segments is not a name at all, and
 * therefore unknown.
 */
function isMalformed(name: string): boolean {
  return !isRepositoryPath(name) && !name.split('/').some((segment) => ['', '.', '..'].includes(segment));
}

function whyNoReference(text: string): ErrorName {
  if (text === '') return 'MANIFEST_UNKNOWN';
  return text.includes(':') ? 'DIGEST_INVALID' : 'TAG_INVALID';
}

/**
 * Splits `<name>/tags/list`, or `<name>/<kind>/<last>`. The last segments decide, because a name may contain
 * the same words.
 */
function splitResource(resource: string): [name: string, kind: string, last: string] {
  if (resource.endsWith(TAGS)) return [resource.slice(0, -TAGS.length), 'tags/list', ''];
  const last = resource.lastIndexOf('/');
  const kind = resource.lastIndexOf('/', last - 1);
  return [
    resource.slice(0, Math.max(0, kind)),
    resource.slice(kind + 1, Math.max(0, last)),
    resource.slice(last + 1),
  ];
}

function parseCatalog(query: URLSearchParams): ParsedTarget {
  const page = parsePage(query, isRepositoryPath);
  return page === undefined ? { refusal: 'BAD_REQUEST' } : { route: { kind: 'catalog', page } };
}

/** Returns the distribution API's path of a route, below its repository. */
export function resourceOf(route: RepositoryRoute): string {
  switch (route.kind) {
    case 'manifest':
      return `manifests/${formatReference(route.reference)}`;
    case 'blob':
      return `blobs/${route.digest}`;
    case 'referrers':
      return `referrers/${route.digest}`;
    case 'tags': {
      const query = formatPage(route.page);
      return query === '' ? 'tags/list' : `tags/list?${query}`;
    }
  }
}
