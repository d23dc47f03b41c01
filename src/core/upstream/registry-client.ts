/**
 * Upstream registries, asked as the distribution spec and Docker Hub want it. It answers what one upstream says to one
 * question; it depends on the network, and must not know what is cached or who wants it.
 */
import type { Clock } from '../../platform/clock.ts';
import { Deadline } from '../../platform/deadline.ts';
import type { Logger } from '../../platform/log.ts';
import { readBody } from '../../platform/read-body.ts';
import { type Digest, matchesDigest, parseDigest, sha256Of, startHash } from '../../registry/digest.ts';
import {
  MANIFEST_MEDIA_TYPES,
  type ManifestMediaType,
  parseManifestMediaType,
} from '../../registry/media-type.ts';
import { type Reference, writeReference } from '../../registry/reference.ts';
import type { Repository, UpstreamHost } from '../../registry/repository.ts';
import { pullScope } from '../../registry/scope.ts';
import type { CoreLimits } from '../limits.ts';
import { type Answer, cannot, no, type Refused, yes } from './answer.ts';
import { type Authorization, type AuthorizationHeader, createAuthorization } from './authorization.ts';
import { type Quota, readQuota, readRetryAfter } from './quota.ts';
import { createRefusals, type Question, type Refusals } from './refusals.ts';
import { createTokenCache } from './token-cache.ts';
import {
  discard,
  isRedirect,
  type Transport,
  troubleOf,
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
  /**
   * The bytes from `from` on, of a blob of `size` bytes where that is known. They are not verified. Whoever asked must
   * read or destroy the body.
   */
  getBlob(repository: Repository, digest: Digest, options: AskBlobOptions): Promise<Answer<BlobBody>>;
  /** A small JSON document below the repository: its tags, or what refers to one of its manifests. */
  getDocument(
    repository: Repository,
    resource: string,
    options: AskOptions,
  ): Promise<Answer<RegistryDocument>>;
  /** What the upstream last said of its pull quota, to the account or, without one, to this address. */
  quota(upstream: UpstreamHost): Quota | undefined;
  /** Is the upstream there, and does it take the credential? Asked now, as the account. */
  check(upstream: UpstreamHost): Promise<UpstreamCheck>;
}

export interface UpstreamCheck {
  readonly trouble: string | null;
  readonly credential: 'none' | 'accepted' | 'refused' | 'unknown';
}

export interface AskOptions {
  readonly as: Identity;
  /** Milliseconds for the whole question, where the standard ones are too many. */
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

export interface AskBlobOptions extends AskOptions {
  readonly from?: number;
  readonly size?: number;
}

/** Of the whole blob `size`; the body begins at `from`, which is 0 where the upstream takes no ranges. */
export interface BlobBody extends BlobHead {
  readonly from: number;
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
  readonly limits: Pick<CoreLimits, 'token' | 'question'>;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  return new HttpRegistryClient(options);
}

interface UpstreamState {
  readonly options: UpstreamOptions;
  readonly authorization: Authorization;
  quota: Quota | undefined;
}

/** What is asked of one upstream, and how the answer is to be had. */
interface Request {
  readonly repository: Repository;
  readonly method: 'GET' | 'HEAD';
  readonly resource: string;
  readonly ask: AskOptions;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of a HEAD: a redirect says yes, and is not followed. */
  readonly redirectIsYes?: boolean;
}

/** All four types at every manifest request: without them the Hub has answered schema 1. */
const ACCEPT_MANIFESTS = { accept: MANIFEST_MEDIA_TYPES.join(', ') };

class HttpRegistryClient implements RegistryClient {
  readonly #transport: Transport;
  readonly #limits: RegistryClientOptions['limits'];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #upstreams: ReadonlyMap<UpstreamHost, UpstreamState>;
  readonly #refusals: Refusals;

  constructor({ upstreams, transport, limits, clock, log }: RegistryClientOptions) {
    this.#transport = transport;
    this.#limits = limits;
    this.#clock = clock;
    this.#log = log;
    this.#refusals = createRefusals(clock);
    this.#upstreams = new Map(
      upstreams.map((options) => {
        const tokens = createTokenCache({ transport, clock, deadline: limits.token });
        const authorization = createAuthorization(options, tokens);
        return [options.host, { options, authorization, quota: undefined }];
      }),
    );
  }

  async headManifest(
    repository: Repository,
    reference: Reference,
    ask: AskOptions,
  ): Promise<Answer<ManifestHead>> {
    const resource = `manifests/${writeReference(reference)}`;
    const request: Request = { repository, method: 'HEAD', resource, ask, headers: ACCEPT_MANIFESTS };
    const answer = await this.#ask(request, readHead);
    if (answer.kind !== 'yes') return answer;
    const { digest, size, contentType } = answer.value;
    const mediaType = parseManifestMediaType(String(contentType));
    if (mediaType === undefined) return unsupportedType(repository, contentType);
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
    const request: Request = { repository, method: 'GET', resource, ask, headers: ACCEPT_MANIFESTS };
    const answer = await this.#ask(request, readSmallBody);
    if (answer.kind !== 'yes') return answer;
    const { bytes, contentType } = answer.value;
    if (bytes === undefined) return cannot('unfit', `${repository.name}: a manifest is larger than 4 MiB`);
    const mediaType = parseManifestMediaType(String(contentType));
    if (mediaType === undefined) return unsupportedType(repository, contentType);
    const named = reference.kind === 'digest' ? reference.digest : answer.value.digest;
    if (named !== undefined && !matchesDigest(startHash(named).update(bytes), named))
      return cannot('unfit', `${repository.name}: a manifest is not what its digest says`);
    return yes({ digest: named ?? sha256Of(bytes), mediaType, size: bytes.length, bytes });
  }

  async headBlob(
    repository: Repository,
    digest: Digest,
    ask: AskOptions & { readonly wantSize?: boolean },
  ): Promise<Answer<BlobHead>> {
    const redirectIsYes = ask.wantSize !== true;
    const request: Request = { repository, method: 'HEAD', resource: `blobs/${digest}`, ask, redirectIsYes };
    return this.#ask(request, async (response) => {
      discard(response);
      return { size: response.statusCode === 200 ? sizeIn(response) : undefined };
    });
  }

  async getBlob(repository: Repository, digest: Digest, ask: AskBlobOptions): Promise<Answer<BlobBody>> {
    const { from = 0, size } = ask;
    const headers = from === 0 ? {} : { range: `bytes=${from}-${size === undefined ? '' : size - 1}` };
    const request: Request = { repository, method: 'GET', resource: `blobs/${digest}`, ask, headers };
    const answer = await this.#ask(request, async (response) => readBlobBody(response));
    if (answer.kind !== 'yes' || answer.value === undefined) {
      return answer.kind === 'yes' ? cannot('unfit', `${repository.name}: a range of another blob`) : answer;
    }
    const { from: begins, size: total } = answer.value;
    if ((begins === 0 || begins === from) && (size === undefined || total === undefined || total === size))
      return yes(answer.value);
    answer.value.body.destroy();
    return cannot('unfit', `${repository.name}: a blob has another size than it had before`);
  }

  async getDocument(
    repository: Repository,
    resource: string,
    ask: AskOptions,
  ): Promise<Answer<RegistryDocument>> {
    const answer = await this.#ask({ repository, method: 'GET', resource, ask }, readSmallBody);
    if (answer.kind !== 'yes') return answer;
    const { bytes, link } = answer.value;
    if (bytes === undefined) return cannot('unfit', `${repository.name}: a document is larger than 4 MiB`);
    return yes({ bytes, link });
  }

  quota(upstream: UpstreamHost): Quota | undefined {
    return this.#upstreams.get(upstream)?.quota;
  }

  async check(host: UpstreamHost): Promise<UpstreamCheck> {
    const upstream = this.#upstreams.get(host);
    if (upstream === undefined) throw new Error(`no upstream ${host} is configured`);
    using deadline = new Deadline(this.#limits.question);
    const request: UpstreamRequest = {
      method: 'GET',
      url: new URL('/v2/', upstream.options.url),
      signal: deadline.signal,
    };
    const answer = await this.#authorized(upstream, request, '', 'account', deadline).catch(
      (error: unknown) => troubleOf(error, host),
    );
    const none = upstream.options.credential === undefined;
    if (answer.kind !== 'yes') return { ...verdictOf(answer), ...(none && { credential: 'none' }) };
    discard(answer.value);
    const { statusCode: status } = answer.value;
    if (status >= 500 || status === 429)
      return { trouble: `it answers ${status}`, credential: none ? 'none' : 'unknown' };
    return { trouble: null, credential: none ? 'none' : status === 200 ? 'accepted' : 'refused' };
  }

  /**
   * One question from the look at what was refused before to the end of `read`, under one deadline: whoever waits for
   * a connection, a token, redirects and an answer that drips waits no longer than that for all of them.
   */
  async #ask<T>(request: Request, read: (response: UpstreamResponse) => Promise<T>): Promise<Answer<T>> {
    const { repository, method, resource, ask } = request;
    const upstream = this.#upstreamOf(repository);
    const as = upstream.options.credential === undefined ? 'anonymous' : ask.as;
    const question: Question = { repository, method, resource, as };
    const remembered = this.#refusals.find(question);
    if (remembered !== undefined) return remembered;
    using deadline = new Deadline(ask.deadline ?? this.#limits.question);
    const answer = await this.#answer(upstream, request, as, deadline, read);
    if (answer.kind === 'yes') return answer;
    if (answer.kind === 'cannot' && answer.trouble.known !== true)
      this.#log.warn({ repository: repository.name, ...answer.trouble }, 'upstream trouble');
    this.#refusals.remember(question, answer);
    return answer;
  }

  async #answer<T>(
    upstream: UpstreamState,
    request: Request,
    as: Identity,
    deadline: Deadline,
    read: (response: UpstreamResponse) => Promise<T>,
  ): Promise<Answer<T>> {
    const scope = pullScope(request.repository.path);
    try {
      const answer = await this.#authorized(
        upstream,
        requestTo(upstream, request, deadline),
        scope,
        as,
        deadline,
      );
      const judged = answer.kind === 'yes' ? this.#judge(upstream, answer.value, request, as) : answer;
      return judged.kind === 'yes' ? yes(await read(judged.value)) : judged;
    } catch (error) {
      return troubleOf(error, upstream.options.host);
    }
  }

  /** Sends with the header that the upstream wants; once more where it refuses that one. */
  async #authorized(
    { authorization }: UpstreamState,
    request: UpstreamRequest,
    scope: string,
    as: Identity,
    deadline: Deadline,
  ): Promise<Answer<UpstreamResponse>> {
    const first = await deadline.bound(authorization.header(scope, as));
    if (first.kind !== 'yes') return first;
    const answer = await this.#transport.send(withAuthorization(request, first.value));
    if (answer.kind !== 'yes' || answer.value.statusCode !== 401 || answer.value.redirected) return answer;
    const challenge = answer.value.headers['www-authenticate'];
    const header = Array.isArray(challenge) ? challenge[0] : challenge;
    const second = await deadline.bound(authorization.retry(header, scope, as, first.value));
    if (second.kind === 'yes' && second.value === undefined) return answer;
    discard(answer.value);
    return second.kind === 'yes' ? this.#transport.send(withAuthorization(request, second.value)) : second;
  }

  /** The three-way verdict on a status. A body that is not wanted is let go. */
  #judge(
    upstream: UpstreamState,
    response: UpstreamResponse,
    request: Request,
    as: Identity,
  ): Answer<UpstreamResponse> {
    const { host, credential } = upstream.options;
    const { headers, statusCode: status, redirected } = response;
    const now = this.#clock();
    if (as === 'account' || credential === undefined) {
      upstream.quota = readQuota(headers, now) ?? upstream.quota;
    }
    if (status === 200 || (request.redirectIsYes === true && isRedirect(response))) return yes(response);
    if (status === 206 && request.headers?.range !== undefined) return yes(response);
    const ofBlob = request.resource.startsWith('blobs/');
    // What a redirect has led to is there; but a URL that was signed for GET may refuse the HEAD.
    if (redirected && ofBlob && request.method === 'HEAD') return yes(response);
    discard(response);
    if (status === 416) return cannot('unfit', `${host}: the blob ends before the range begins`);
    // A storage that lost an object says nothing of the repository that names it.
    if (redirected && status !== 429 && (ofBlob || status !== 404))
      return cannot('failed', `${host}: the host that it redirects to answers ${status}`);
    return refusalOf(status, host, readRetryAfter(headers['retry-after'], now));
  }

  #upstreamOf(repository: Repository): UpstreamState {
    const upstream = this.#upstreams.get(repository.upstream);
    if (upstream === undefined) throw new Error(`no upstream ${repository.upstream} is configured`);
    return upstream;
  }
}

function requestTo(
  { options }: UpstreamState,
  { repository, method, resource, headers, redirectIsYes }: Request,
  { signal }: Deadline,
): UpstreamRequest {
  return {
    method,
    url: new URL(`/v2/${repository.path}/${resource}`, options.url),
    ...(headers && { headers }),
    ...(redirectIsYes !== true && { followFor: options.url }),
    signal,
  };
}

function verdictOf(answer: Refused): UpstreamCheck {
  if (answer.kind === 'no') return { trouble: null, credential: 'refused' };
  const { cause, detail } = answer.trouble;
  return cause === 'credential'
    ? { trouble: null, credential: 'refused' }
    : { trouble: detail, credential: 'unknown' };
}

function withAuthorization(
  request: UpstreamRequest,
  header: AuthorizationHeader | undefined,
): UpstreamRequest {
  return header?.value === undefined
    ? request
    : { ...request, headers: { ...request.headers, authorization: header.value } };
}

function refusalOf(status: number, host: string, retryAfter: number | undefined): Answer<never> {
  if (status === 401 || status === 403) return no('unauthorized');
  if (status === 404) return no('not-found');
  return cannot(status === 429 ? 'limited' : 'failed', `${host}: ${status}`, retryAfter);
}

async function readHead(response: UpstreamResponse) {
  discard(response);
  const { headers } = response;
  return {
    digest: parseDigest(String(headers['docker-content-digest'])),
    size: sizeIn(response),
    contentType: headers['content-type'],
  };
}

/** @throws where the body breaks off, or outlives the deadline. */
async function readSmallBody({ headers, body }: UpstreamResponse) {
  const { link } = headers;
  return {
    bytes: await readBody(body, MAX_MANIFEST_SIZE),
    contentType: headers['content-type'],
    digest: parseDigest(String(headers['docker-content-digest'])),
    link: typeof link === 'string' ? link : undefined,
  };
}

/** Undefined for an answer that does not say which bytes it holds. */
function readBlobBody(response: UpstreamResponse): BlobBody | undefined {
  const { statusCode, headers, body } = response;
  if (statusCode === 200) return { from: 0, size: sizeIn(response), body };
  const [, first, total] =
    /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(String(headers['content-range'])) ?? [];
  if (first !== undefined)
    return { from: Number(first), size: total === '*' ? undefined : Number(total), body };
  body.destroy();
  return undefined;
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
