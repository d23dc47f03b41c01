import { type Digest, type DigestAlgorithm, parseDigest, parseDigestAlgorithm } from './digest.ts';
import type { ErrorName } from './error.ts';
import { formatPage, type Page, parsePage } from './page.ts';
import { formatReference, parseReference, parseTag, type Reference, type Tag } from './reference.ts';
import {
  isHosted,
  isRepositoryPath,
  type Repository,
  resolveRepository,
  resolveUpstream,
  type UpstreamNames,
} from './repository.ts';
import { parseUploadId, type UploadId } from './upload-id.ts';

/** The parsed target of a request on `/v2/`. This is the only way from a request target to a repository. */
export type Route =
  | { readonly kind: 'ping' }
  | {
      readonly kind: 'manifest';
      readonly repository: Repository;
      readonly reference: Reference;
      /** The tags that a push of a digest sets beside it. Only a target of a hosted repository has them. */
      readonly tags?: readonly Tag[];
    }
  | { readonly kind: 'blob'; readonly repository: Repository; readonly digest: Digest }
  | { readonly kind: 'tags'; readonly repository: Repository; readonly page: Page }
  | {
      readonly kind: 'referrers';
      readonly repository: Repository;
      readonly digest: Digest;
      /** The type by which the list is filtered, and the digest after which its page begins. */
      readonly artifactType?: string;
      readonly last?: Digest;
    }
  | { readonly kind: 'catalog'; readonly page: Page }
  /** The beginning of an upload to a hosted repository. */
  | {
      readonly kind: 'uploads';
      readonly repository: Repository;
      /** The digest of the body, if the request has the whole blob as its body. */
      readonly digest?: Digest;
      /** The algorithm of the digest that the upload will have. */
      readonly algorithm?: DigestAlgorithm;
      /** The blob that may be taken from another repository in place of an upload. */
      readonly mount?: Digest;
      /** The other repository; absent if none is named, or if the name means none. */
      readonly from?: Repository;
    }
  /** One upload to a hosted repository. */
  | {
      readonly kind: 'upload';
      readonly repository: Repository;
      readonly id: UploadId;
      /** The digest of the blob that the request completes. */
      readonly digest?: Digest;
    }
  /**
   * The beginning of a push to a mirrored repository. It can only be refused, so it need not name a
   * repository that exists.
   */
  | { readonly kind: 'mirrored-upload' };

/** A route of a pull, so that the policy decides about its repository. */
export type RepositoryRoute = Extract<Route, { kind: 'manifest' | 'blob' | 'tags' | 'referrers' }>;

/** A route that only a push has. */
export type UploadRoute = Extract<Route, { kind: 'uploads' | 'upload' }>;

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
const UPLOADS = '/blobs/uploads/';

/** The most tags that one push sets. */
const MAX_TAGS = 20;

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
  return isOfPull(parsed.route) ? { route: parsed.route } : { refusal: 'BAD_REQUEST' };
}

function isOfPull(route: Route): route is RepositoryRoute {
  return 'repository' in route && route.kind !== 'uploads' && route.kind !== 'upload';
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
  const uploads = `${resource}/`.lastIndexOf(UPLOADS);
  if (uploads > 0) return parseUpload(resource, uploads, query, resolve);
  const [name, kind, last] = splitResource(resource);
  const repository = resolve(name);
  if (repository === undefined) return isMalformed(name) ? { refusal: 'NAME_INVALID' } : UNKNOWN;
  if (kind === 'tags/list') {
    const page = parsePage(query);
    return page === undefined ? { refusal: 'BAD_REQUEST' } : { route: { kind: 'tags', repository, page } };
  }
  if (kind === 'manifests') {
    return parseManifest(repository, last, query);
  }
  if (kind !== 'blobs' && kind !== 'referrers') return UNKNOWN;
  const digest = parseDigest(last);
  if (digest === undefined) return { refusal: 'DIGEST_INVALID' };
  return kind === 'blobs'
    ? { route: { kind: 'blob', repository, digest } }
    : { route: parseReferrers(repository, digest, query) };
}

/**
 * Only the lists of hosted repositories are filtered and have pages. Those of upstreams come as a whole,
 * which the specification allows.
 */
function parseReferrers(repository: Repository, digest: Digest, query: URLSearchParams): Route {
  const route = { kind: 'referrers', repository, digest } as const;
  if (!isHosted(repository)) return route;
  const artifactType = query.get('artifactType') ?? '';
  const last = parseDigest(query.get('last') ?? '');
  return { ...route, ...(artifactType !== '' && { artifactType }), ...(last && { last }) };
}

function parseManifest(repository: Repository, text: string, query: URLSearchParams): ParsedTarget {
  const reference = parseReference(text);
  if (reference === undefined) return { refusal: whyNoReference(text) };
  const route = { kind: 'manifest', repository, reference } as const;
  const written = isHosted(repository) ? query.getAll('tag') : [];
  if (written.length === 0) return { route };
  const tags = written.slice(0, MAX_TAGS).flatMap((tag) => parseTag(tag) ?? []);
  return tags.length === written.length ? { route: { ...route, tags } } : { refusal: 'TAG_INVALID' };
}

/** `at` is the place of `/blobs/uploads/` in `resource`. */
function parseUpload(
  resource: string,
  at: number,
  query: URLSearchParams,
  resolve: (name: string) => Repository | undefined,
): ParsedTarget {
  const repository = resolve(resource.slice(0, at));
  if (repository === undefined || !isHosted(repository)) return { route: { kind: 'mirrored-upload' } };
  const digests = { digest: query.get('digest'), mount: query.get('mount') };
  const [digest, mount] = [parseOptionalDigest(digests.digest), parseOptionalDigest(digests.mount)];
  if (digest === 'malformed' || mount === 'malformed') return { refusal: 'DIGEST_INVALID' };
  const common = { repository, ...(digest && { digest }) };
  const written = resource.slice(at + UPLOADS.length);
  if (written !== '') {
    const id = parseUploadId(written);
    return id === undefined
      ? { refusal: 'BLOB_UPLOAD_UNKNOWN' }
      : { route: { kind: 'upload', ...common, id } };
  }
  const algorithm = parseDigestAlgorithm(query.get('digest-algorithm') ?? '');
  const from = resolve(query.get('from') ?? '');
  return {
    route: {
      ...{ kind: 'uploads', ...common },
      ...(algorithm && { algorithm }),
      ...(mount && { mount }),
      ...(from && { from }),
    },
  };
}

function parseOptionalDigest(text: string | null): Digest | 'malformed' | undefined {
  return text === null ? undefined : (parseDigest(text) ?? 'malformed');
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
    case 'referrers': {
      const query = formatReferrersQuery(route);
      return query === '' ? `referrers/${route.digest}` : `referrers/${route.digest}?${query}`;
    }
    case 'tags': {
      const query = formatPage(route.page);
      return query === '' ? 'tags/list' : `tags/list?${query}`;
    }
  }
}

function formatReferrersQuery({ artifactType, last }: Extract<Route, { kind: 'referrers' }>): string {
  const query = new URLSearchParams();
  if (artifactType !== undefined) query.set('artifactType', artifactType);
  if (last !== undefined) query.set('last', last);
  return query.toString();
}
