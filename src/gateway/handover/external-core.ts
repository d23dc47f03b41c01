import { type HttpClient, type HttpResponse, openUrlClient } from '../../platform/http-client.ts';
import { readBody } from '../../platform/read-body.ts';
import { parseDigest, sha256Of } from '../../registry/digest.ts';
import type { ErrorName } from '../../registry/error.ts';
import { MANIFEST_MEDIA_TYPES, parseManifestMediaType } from '../../registry/media-type.ts';
import { nextPage } from '../../registry/page.ts';
import { type RepositoryRoute, resourceOf } from '../../registry/route.ts';
import type { Core, CoreAnswer, PullOptions } from './core.ts';

/**
 * A registry that somebody runs as a pull-through cache (`registry:2`, `registry:3`), in the core's place. It speaks
 * the distribution API, holds the upstream's credential, and knows of no grants: whoever may pull a repository at all
 * gets what that registry gives, private content included.
 */
export function openExternalCore(url: URL): Core {
  return new ExternalCore(openUrlClient(url));
}

/** It downloads a cold blob before it answers, or hangs with its upstream; clients wait 30 s for headers. */
const DEADLINE = 28_000;
const MAX_DOCUMENT = 4 * 1024 * 1024;

class ExternalCore implements Core {
  readonly #http: HttpClient;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  async pull(route: RepositoryRoute, { method }: PullOptions): Promise<CoreAnswer> {
    const response = await this.#http.request({
      method,
      path: `/v2/${route.repository.path}/${resourceOf(route)}`,
      headers: { accept: MANIFEST_MEDIA_TYPES.join(', '), 'accept-encoding': 'identity' },
      deadline: DEADLINE,
    });
    if (response.statusCode !== 200) return readRefusal(response, route);
    switch (route.kind) {
      case 'manifest':
        return readManifest(response, route, method);
      case 'blob':
        return readBlob(response, method);
      default:
        return readDocument(response);
    }
  }

  async status(): Promise<object> {
    const { statusCode, body } = await this.#http.request({ method: 'GET', path: '/v2/', deadline: 2_000 });
    await body.dump();
    if (statusCode !== 200) throw new Error(`the core at core.url answers ${statusCode}`);
    return {};
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http[Symbol.asyncDispose]();
  }
}

const UNKNOWN: Readonly<Record<RepositoryRoute['kind'], ErrorName>> = {
  manifest: 'MANIFEST_UNKNOWN',
  blob: 'BLOB_UNKNOWN',
  tags: 'NAME_UNKNOWN',
  referrers: 'NAME_UNKNOWN',
};

/** A redirect to the registry's own storage is not ours to follow or to hand on: that is a failure like others. */
async function readRefusal(
  { statusCode, headers, body }: HttpResponse,
  route: RepositoryRoute,
): Promise<CoreAnswer> {
  await body.dump();
  if (statusCode === 404) return { kind: 'refused', error: UNKNOWN[route.kind] };
  if (statusCode !== 429)
    return { kind: 'refused', error: statusCode === 504 ? 'UPSTREAM_TIMEOUT' : 'UPSTREAM_FAILED' };
  const retryAfter = Number(headers['retry-after']);
  return {
    kind: 'refused',
    error: 'TOO_MANY_PULLS',
    retryAfter: Number.isInteger(retryAfter) ? retryAfter : 60,
  };
}

async function readManifest(
  { headers, body }: HttpResponse,
  route: RepositoryRoute & { kind: 'manifest' },
  method: 'GET' | 'HEAD',
): Promise<CoreAnswer> {
  const mediaType = parseManifestMediaType(String(headers['content-type']));
  const bytes = await readBody(body, MAX_DOCUMENT);
  if (mediaType === undefined || bytes === undefined) return { kind: 'refused', error: 'UPSTREAM_FAILED' };
  const named = parseDigest(String(headers['docker-content-digest']));
  const digest = method === 'GET' ? sha256Of(bytes) : named;
  const wanted = route.reference.kind === 'digest' ? route.reference.digest : named;
  // The registry verifies nothing that its upstream sends.
  if (digest === undefined || digest !== wanted) return { kind: 'refused', error: 'UPSTREAM_FAILED' };
  const size = method === 'GET' ? bytes.length : Number(headers['content-length']);
  return { kind: 'manifest', cache: 'bypass', mediaType, digest, size, ...(method === 'GET' && { bytes }) };
}

async function readBlob({ headers, body }: HttpResponse, method: 'GET' | 'HEAD'): Promise<CoreAnswer> {
  const length = headers['content-length'];
  const size = length === undefined ? undefined : Number(length);
  if (method === 'GET') return { kind: 'blob-stream', cache: 'bypass', size, body };
  await body.dump();
  return { kind: 'blob-head', cache: 'bypass', size };
}

async function readDocument({ headers, body }: HttpResponse): Promise<CoreAnswer> {
  const bytes = await readBody(body, MAX_DOCUMENT);
  if (bytes === undefined) return { kind: 'refused', error: 'UPSTREAM_FAILED' };
  const page = nextPage(String(headers.link));
  return { kind: 'document', cache: 'bypass', bytes, ...(page && { next: page }) };
}
