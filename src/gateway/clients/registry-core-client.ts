import { type HttpClient, type HttpResponse, openUrlClient } from '../../platform/ipc/http-client.ts';
import { readBody } from '../../platform/read-body.ts';
import { matchesDigest, parseDigest, sha256Of, startHash } from '../../registry/digest.ts';
import type { ErrorName } from '../../registry/error.ts';
import {
  MANIFEST_MEDIA_TYPES,
  parseManifestMediaType,
  parseUnmirroredMediaType,
  unmirroredMessage,
} from '../../registry/media-type.ts';
import { nextPage } from '../../registry/page.ts';
import { type RepositoryRoute, resourceOf } from '../../registry/route.ts';
import { CORE_REQUESTS, GATEWAY_LIMITS } from '../limits.ts';
import type { CoreAnswer, CoreClient, PullOptions } from './core-client.ts';

/**
 * An external registry that runs as a pull-through cache (`registry:2`, `registry:3`) and takes the core's
 * place. It speaks the distribution API, has the upstream's credential, and does not know public and private
 * read access: a client that may pull a repository at all gets everything that the registry gives, private
 * content included.
 */
export function openRegistryCoreClient(url: URL, questions = GATEWAY_LIMITS.coreQuestions): CoreClient {
  return new ExternalCore(openUrlClient(url, questions));
}

class ExternalCore implements CoreClient {
  readonly #http: HttpClient;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  async pull(route: RepositoryRoute, options: PullOptions): Promise<CoreAnswer> {
    switch (route.kind) {
      case 'manifest':
        return this.#pullManifest(route, options);
      case 'blob':
        return this.#ask(route, options, (response) => readBlob(response, options.method));
      default:
        // The length of a document is known only together with its bytes.
        return this.#ask(route, { ...options, method: 'GET' }, readDocument);
    }
  }

  async #pullManifest(
    route: RepositoryRoute & { kind: 'manifest' },
    options: PullOptions,
  ): Promise<CoreAnswer> {
    const { method } = options;
    const head = method === 'HEAD' ? await this.#ask(route, options, readManifestHead) : undefined;
    if (head !== undefined)
      return isAsked(route, head) ? head : { kind: 'refused', error: 'UPSTREAM_FAILED' };
    const whole = await this.#ask(route, { ...options, method: 'GET' }, (response) =>
      readManifest(response, route),
    );
    if (method === 'GET' || whole.kind !== 'manifest') return whole;
    const { bytes: _, ...withoutBytes } = whole;
    return withoutBytes;
  }

  async #ask<T>(
    route: RepositoryRoute,
    { method, share, signal }: PullOptions,
    read: (response: HttpResponse) => Promise<T>,
  ): Promise<T | CoreAnswer> {
    const response = await this.#http.request({
      method,
      path: `/v2/${route.repository.path}/${resourceOf(route)}`,
      headers: { accept: MANIFEST_MEDIA_TYPES.join(', '), 'accept-encoding': 'identity' },
      share,
      signal: signal?.(),
      deadline: CORE_REQUESTS.deadline,
    });
    return response.statusCode === 200 ? read(response) : readRefusal(response, route);
  }

  async repositories(): Promise<undefined> {
    return undefined;
  }

  /** The registry has metrics with names of its own, which Prometheus can read from it directly. */
  async metrics(): Promise<undefined> {
    await this.status();
    return undefined;
  }

  async status(): Promise<object> {
    const { statusCode, body } = await this.#http.request({
      method: 'GET',
      path: '/v2/',
      deadline: CORE_REQUESTS.status,
    });
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
  referrers: 'MANIFEST_UNKNOWN',
};

/**
 * A redirect to the registry's own storage counts as a failure: the gateway neither follows it nor passes it
 * on.
 */
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

/** Returns undefined if the registry omits a header, because then only the manifest itself has the value. */
async function readManifestHead({ headers, body }: HttpResponse): Promise<CoreAnswer | undefined> {
  await body.dump();
  const mediaType = parseManifestMediaType(String(headers['content-type']));
  const digest = parseDigest(String(headers['docker-content-digest']));
  const size = sizeIn(headers);
  return mediaType === undefined || digest === undefined || size === undefined
    ? undefined
    : { kind: 'manifest', cache: 'bypass', mediaType, digest, size };
}

function isAsked({ reference }: RepositoryRoute & { kind: 'manifest' }, answer: CoreAnswer): boolean {
  return answer.kind !== 'manifest' || reference.kind === 'tag' || reference.digest === answer.digest;
}

async function readManifest(
  { headers, body }: HttpResponse,
  { reference }: RepositoryRoute & { kind: 'manifest' },
): Promise<CoreAnswer> {
  const mediaType = parseManifestMediaType(String(headers['content-type']));
  const bytes = await readBody(body, CORE_REQUESTS.maxDocument);
  const unmirrored = parseUnmirroredMediaType(String(headers['content-type']));
  if (unmirrored !== undefined)
    return { kind: 'refused', error: 'NOT_MIRRORED', message: unmirroredMessage(unmirrored) };
  if (mediaType === undefined || bytes === undefined) return { kind: 'refused', error: 'UPSTREAM_FAILED' };
  // The registry verifies nothing that its upstream sends.
  const said = parseDigest(String(headers['docker-content-digest']));
  const digest = reference.kind === 'digest' ? reference.digest : (said ?? sha256Of(bytes));
  if (!matchesDigest(startHash(digest).update(bytes), digest))
    return { kind: 'refused', error: 'UPSTREAM_FAILED' };
  return { kind: 'manifest', cache: 'bypass', mediaType, digest, size: bytes.length, bytes };
}

async function readBlob({ headers, body }: HttpResponse, method: 'GET' | 'HEAD'): Promise<CoreAnswer> {
  const size = sizeIn(headers);
  if (method === 'GET') return { kind: 'blob-stream', cache: 'bypass', size, body };
  await body.dump();
  return { kind: 'blob-head', cache: 'bypass', size };
}

function sizeIn(headers: HttpResponse['headers']): number | undefined {
  const length = headers['content-length'];
  return typeof length === 'string' && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

async function readDocument({ headers, body }: HttpResponse): Promise<CoreAnswer> {
  const bytes = await readBody(body, CORE_REQUESTS.maxDocument);
  if (bytes === undefined) return { kind: 'refused', error: 'UPSTREAM_FAILED' };
  const page = nextPage(String(headers.link));
  return { kind: 'document', cache: 'bypass', bytes, ...(page && { next: page }) };
}
