/**
 * Upstream registries, asked as the distribution spec and Docker Hub want it. It answers what one upstream says to one
 * question; it depends on the network, and must not know what is cached or who wants it.
 */
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/log.ts';
import { readBody } from '../../platform/read-body.ts';
import { type Digest, parseDigest, sha256Of } from '../../registry/digest.ts';
import {
  MANIFEST_MEDIA_TYPES,
  type ManifestMediaType,
  parseManifestMediaType,
} from '../../registry/media-type.ts';
import { type Reference, writeReference } from '../../registry/reference.ts';
import type { Repository, UpstreamHost } from '../../registry/repository.ts';
import { pullScope } from '../../registry/scope.ts';
import { type Answer, cannot, no, yes } from './answer.ts';
import { type Authorization, createAuthorization } from './authorization.ts';
import { type Quota, readQuota, readRetryAfter } from './quota.ts';
import { createRefusals, type Refusals } from './refusals.ts';
import {
  discard,
  isRedirect,
  type Transport,
  type UpstreamRequest,
  type UpstreamResponse,
} from './transport.ts';
import type { Identity, UpstreamOptions } from './upstream.ts';

export interface RegistryClient {
  headManifest(
    repository: Repository,
    reference: Reference,
    options: AskOptions,
  ): Promise<Answer<ManifestHead>>;
  getManifest(repository: Repository, reference: Reference, options: AskOptions): Promise<Answer<Manifest>>;
  /** Is it there? Its size may cost a second request, so that has to be wanted. */
  headBlob(
    repository: Repository,
    digest: Digest,
    options: AskOptions & { readonly wantSize?: boolean },
  ): Promise<Answer<BlobHead>>;
  /** The bytes are not verified. Whoever asked must read or destroy the body. */
  getBlob(repository: Repository, digest: Digest, options: AskOptions): Promise<Answer<BlobBody>>;
  /** A small JSON document below the repository: its tags, or what refers to one of its manifests. */
  getDocument(
    repository: Repository,
    resource: string,
    options: AskOptions,
  ): Promise<Answer<RegistryDocument>>;
  /** What the upstream last said of its pull quota, to the account or, without one, to this address. */
  quota(upstream: UpstreamHost): Quota | undefined;
}

export interface AskOptions {
  readonly as: Identity;
  /** Milliseconds until the headers must be there, where the standard ones are too many. */
  readonly deadline?: number;
}

export interface ManifestHead {
  readonly digest: Digest;
  readonly mediaType: ManifestMediaType;
  readonly size: number;
}

export interface Manifest extends ManifestHead {
  readonly bytes: Buffer;
}

export interface BlobHead {
  /** Undefined where the upstream does not say. */
  readonly size: number | undefined;
}

export interface BlobBody extends BlobHead {
  readonly body: UpstreamResponse['body'];
}

export interface RegistryDocument {
  readonly bytes: Buffer;
  /** The `Link` header, for the next page. */
  readonly link: string | undefined;
}

const MAX_MANIFEST_SIZE = 4 * 1024 * 1024;

export interface RegistryClientOptions {
  readonly upstreams: readonly UpstreamOptions[];
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  return new HttpRegistryClient(options);
}

type Method = 'GET' | 'HEAD';

interface UpstreamState {
  readonly options: UpstreamOptions;
  readonly authorization: Authorization;
  quota: Quota | undefined;
}

/** All four types at every manifest request: without them the Hub has answered schema 1. */
const ACCEPT_MANIFESTS = { accept: MANIFEST_MEDIA_TYPES.join(', ') };

class HttpRegistryClient implements RegistryClient {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #upstreams: ReadonlyMap<UpstreamHost, UpstreamState>;
  readonly #refusals: Refusals;

  constructor({ upstreams, transport, clock, log }: RegistryClientOptions) {
    this.#transport = transport;
    this.#clock = clock;
    this.#log = log;
    this.#refusals = createRefusals(clock);
    this.#upstreams = new Map(
      upstreams.map((options) => {
        return [
          options.host,
          { options, authorization: createAuthorization(options, transport, clock), quota: undefined },
        ];
      }),
    );
  }

  async headManifest(
    repository: Repository,
    reference: Reference,
    ask: AskOptions,
  ): Promise<Answer<ManifestHead>> {
    const resource = `manifests/${writeReference(reference)}`;
    const answer = await this.#ask(repository, resource, 'HEAD', ask, { headers: ACCEPT_MANIFESTS });
    if (answer.kind !== 'yes') return answer;
    discard(answer.value);
    const { headers } = answer.value;
    const digest = parseDigest(String(headers['docker-content-digest']));
    const size = sizeIn(answer.value);
    const mediaType = parseManifestMediaType(String(headers['content-type']));
    if (mediaType === undefined) return unsupportedType(repository, headers['content-type']);
    // Some registries leave these out of a HEAD; then only the manifest itself can tell.
    if (digest === undefined || size === undefined) return this.getManifest(repository, reference, ask);
    if (reference.kind === 'digest' && digest !== reference.digest) {
      return cannot('unfit', `${repository.name}: asked for one digest, it answers with another`);
    }
    return yes({ digest, mediaType, size });
  }

  async getManifest(
    repository: Repository,
    reference: Reference,
    ask: AskOptions,
  ): Promise<Answer<Manifest>> {
    const resource = `manifests/${writeReference(reference)}`;
    const answer = await this.#ask(repository, resource, 'GET', ask, { headers: ACCEPT_MANIFESTS });
    if (answer.kind !== 'yes') return answer;
    const contentType = answer.value.headers['content-type'];
    const bytes = await readBody(answer.value.body, MAX_MANIFEST_SIZE).catch((error: Error) => error);
    if (bytes instanceof Error)
      return cannot('unreachable', `${repository.upstream}: the manifest breaks off`);
    if (bytes === undefined) return cannot('unfit', `${repository.name}: a manifest is larger than 4 MiB`);
    const mediaType = parseManifestMediaType(String(contentType));
    if (mediaType === undefined) return unsupportedType(repository, contentType);
    const digest = reference.kind === 'digest' ? reference.digest : sha256Of(bytes);
    return yes({ digest, mediaType, size: bytes.length, bytes });
  }

  async headBlob(
    repository: Repository,
    digest: Digest,
    ask: AskOptions & { readonly wantSize?: boolean },
  ): Promise<Answer<BlobHead>> {
    const follow = ask.wantSize === true ? { followFor: this.#upstreamOf(repository).options.url } : {};
    const answer = await this.#ask(repository, `blobs/${digest}`, 'HEAD', ask, follow);
    if (answer.kind !== 'yes') return answer;
    discard(answer.value);
    // A redirect is a yes too; and where it leads, a URL that was signed for GET may refuse the HEAD for the size.
    return yes({ size: answer.value.statusCode === 200 ? sizeIn(answer.value) : undefined });
  }

  async getBlob(repository: Repository, digest: Digest, ask: AskOptions): Promise<Answer<BlobBody>> {
    const followFor = this.#upstreamOf(repository).options.url;
    const answer = await this.#ask(repository, `blobs/${digest}`, 'GET', ask, { followFor });
    return answer.kind === 'yes' ? yes({ size: sizeIn(answer.value), body: answer.value.body }) : answer;
  }

  async getDocument(
    repository: Repository,
    resource: string,
    ask: AskOptions,
  ): Promise<Answer<RegistryDocument>> {
    const answer = await this.#ask(repository, resource, 'GET', ask, {});
    if (answer.kind !== 'yes') return answer;
    const { link } = answer.value.headers;
    const bytes = await readBody(answer.value.body, MAX_MANIFEST_SIZE).catch((error: Error) => error);
    if (bytes instanceof Error) return cannot('unreachable', `${repository.upstream}: a document breaks off`);
    if (bytes === undefined) return cannot('unfit', `${repository.name}: a document is larger than 4 MiB`);
    return yes({ bytes, link: typeof link === 'string' ? link : undefined });
  }

  quota(upstream: UpstreamHost): Quota | undefined {
    return this.#upstreams.get(upstream)?.quota;
  }

  async #ask(
    repository: Repository,
    resource: string,
    method: Method,
    ask: AskOptions,
    extra: Pick<UpstreamRequest, 'headers' | 'followFor'>,
  ): Promise<Answer<UpstreamResponse>> {
    const upstream = this.#upstreamOf(repository);
    const as = upstream.options.credential === undefined ? 'anonymous' : ask.as;
    const remembered = this.#refusals.find(repository, method, resource, as);
    if (remembered !== undefined) return remembered;
    const url = new URL(`/v2/${repository.path}/${resource}`, upstream.options.url);
    const request: UpstreamRequest = {
      method,
      url,
      ...extra,
      ...(ask.deadline && { deadline: ask.deadline }),
    };
    const answer = await this.#authorized(upstream, request, pullScope(repository.path), as);
    const judged = answer.kind === 'yes' ? this.#judge(upstream, answer.value, method, as) : answer;
    if (judged.kind !== 'yes') {
      if (judged.kind === 'cannot')
        this.#log.warn({ repository: repository.name, ...judged.trouble }, 'upstream trouble');
      this.#refusals.remember(repository, method, resource, as, judged);
    }
    return judged;
  }

  /** Sends with the header that the upstream wants; once more where it refuses that one. */
  async #authorized(
    { authorization }: UpstreamState,
    request: UpstreamRequest,
    scope: string,
    as: Identity,
  ): Promise<Answer<UpstreamResponse>> {
    const first = await authorization.header(scope, as);
    if (first.kind !== 'yes') return first;
    const answer = await this.#transport.send(withAuthorization(request, first.value));
    if (answer.kind !== 'yes' || answer.value.statusCode !== 401) return answer;
    const challenge = answer.value.headers['www-authenticate'];
    const header = Array.isArray(challenge) ? challenge[0] : challenge;
    const second = await authorization.retry(header, scope, as, first.value);
    if (second.kind !== 'yes') {
      discard(answer.value);
      return second;
    }
    if (second.value === undefined) return answer;
    discard(answer.value);
    return this.#transport.send(withAuthorization(request, second.value));
  }

  /** The three-way verdict on a status. A body that is not wanted is let go. */
  #judge(
    upstream: UpstreamState,
    response: UpstreamResponse,
    method: Method,
    as: Identity,
  ): Answer<UpstreamResponse> {
    const now = this.#clock();
    const { statusCode: status, headers, redirected } = response;
    if (as === 'account' || upstream.options.credential === undefined) {
      upstream.quota = readQuota(headers, now) ?? upstream.quota;
    }
    if (status === 200 || (method === 'HEAD' && (redirected || isRedirect(response)))) return yes(response);
    discard(response);
    if (redirected)
      return cannot('failed', `${upstream.options.host}: the host that it redirects to answers ${status}`);
    if (status === 401 || status === 403) return no('unauthorized');
    if (status === 404) return no('not-found');
    const detail = `${upstream.options.host}: ${status}`;
    return status === 429
      ? cannot('limited', detail, readRetryAfter(headers['retry-after'], now))
      : cannot('failed', detail);
  }

  #upstreamOf(repository: Repository): UpstreamState {
    const upstream = this.#upstreams.get(repository.upstream);
    if (upstream === undefined) throw new Error(`no upstream ${repository.upstream} is configured`);
    return upstream;
  }
}

function withAuthorization(request: UpstreamRequest, authorization: string | undefined): UpstreamRequest {
  return authorization === undefined
    ? request
    : { ...request, headers: { ...request.headers, authorization } };
}

function sizeIn({ headers }: UpstreamResponse): number | undefined {
  const length = headers['content-length'];
  return typeof length === 'string' && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

function unsupportedType(repository: Repository, type: unknown): Answer<never> {
  return cannot(
    'unfit',
    `${repository.name}: manifests of type ${JSON.stringify(type)?.slice(0, 100)} are not mirrored`,
  );
}
