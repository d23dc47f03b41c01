/**
 * Sends requests to upstream registries as the distribution spec and Docker Hub require. It answers what one
 * upstream says to one request. It depends on the network, and must not know what is cached or who wants it.
 */
import { readBody } from '../../platform/read-body.ts';
import { type Digest, matchesDigest, parseDigest, sha256Of, startHash } from '../../registry/digest.ts';
import {
  MANIFEST_MEDIA_TYPES,
  type ManifestMediaType,
  parseManifestMediaType,
  parseUnmirroredMediaType,
} from '../../registry/media-type.ts';
import { formatReference, type Reference } from '../../registry/reference.ts';
import type { Repository, UpstreamHost } from '../../registry/repository.ts';
import { MAX_DOCUMENT_SIZE } from '../limits.ts';
import type { UpstreamCheck } from './check-accounts.ts';
import { isEncoded } from './decode-content.ts';
import { HeadSupport } from './head-support.ts';
import { manifestTypeOf } from './manifest-type.ts';
import { displayedType, isPage, typeOf } from './registry-refusal.ts';
import type { Requester } from './requester.ts';
import type { ReservedPull } from './reserved-pull.ts';
import type { ResourceRequest, UpstreamAskOptions } from './resource-request.ts';
import { discard } from './transport.ts';
import type { AccountReport } from './upstream-accounts.ts';
import type { UpstreamResponse } from './upstream-response.ts';
import {
  ok,
  type UnavailablePull,
  type UpstreamRefusal,
  type UpstreamResult,
  unavailable,
} from './upstream-result.ts';
import { Upstreams, type UpstreamsOptions } from './upstreams.ts';

export interface RegistryClient extends Disposable {
  headManifest(
    repository: Repository,
    reference: Reference,
    options: UpstreamAskOptions,
  ): Promise<UpstreamResult<ManifestHead>>;
  getManifest(
    repository: Repository,
    reference: Reference,
    options: UpstreamAskOptions,
  ): Promise<UpstreamResult<UpstreamManifest>>;
  /** Tells whether the blob exists. Its size may cost a second request, so the caller must ask for it. */
  headBlob(
    repository: Repository,
    digest: Digest,
    options: UpstreamAskOptions & { readonly wantSize?: boolean },
  ): Promise<UpstreamResult<BlobHead>>;
  /**
   * Fetches the bytes from `from` on, of a blob of `size` bytes if that is known. They are not verified. The
   * caller must read or destroy the body.
   */
  getBlob(repository: Repository, digest: Digest, options: AskBlobOptions): Promise<UpstreamResult<BlobBody>>;
  /**
   * Fetches the bytes from `start` up to, but not including, `end` of a blob of `size` bytes. They are not
   * verified.
   */
  getBlobPart(
    repository: Repository,
    digest: Digest,
    options: AskPartOptions,
  ): Promise<UpstreamResult<Buffer>>;
  /**
   * Fetches a small JSON document below the repository: its tags, or the referrers of one of its manifests.
   */
  getDocument(
    repository: Repository,
    resource: string,
    options: AskDocumentOptions,
  ): Promise<UpstreamResult<RegistryDocument>>;
  /** Takes a pull for questions of the requester that may follow, or refuses it without asking the upstream. */
  reservePull(repository: Repository, requester: Requester): ReservedPull | UnavailablePull;
  /** The number of requests that wait for their turn. */
  readonly waiting: number;
  /** Returns what is known of the accounts of an upstream. */
  accounts(upstream: UpstreamHost): readonly AccountReport[];
  /** Reads the files of credentials now. */
  reload(): Promise<void>;
  check(upstream: UpstreamHost): Promise<UpstreamCheck>;
}

export interface ManifestHead {
  readonly digest: Digest;
  readonly mediaType: ManifestMediaType;
  readonly size: number;
}

export interface UpstreamManifest extends ManifestHead {
  readonly bytes: Buffer;
}

export interface BlobHead {
  /** Undefined if the upstream does not tell. */
  readonly size: number | undefined;
}

export interface AskBlobOptions extends UpstreamAskOptions {
  readonly from?: number;
  readonly size?: number;
}

export interface AskPartOptions extends UpstreamAskOptions {
  readonly start: number;
  readonly end: number;
  readonly size: number;
}

/**
 * The body of a blob. `size` is the size of the whole blob. The body begins at `from`, which is 0 if the
 * upstream does not support ranges.
 */
export interface BlobBody extends BlobHead {
  readonly from: number;
  readonly body: UpstreamResponse['body'];
  /** The host that sends it. */
  readonly host?: string;
}

export interface AskDocumentOptions extends UpstreamAskOptions {
  /** The statuses that mean the same as 404 here. */
  readonly absentBy?: readonly number[];
  /** Returns false if the caller asks in another way then. Such a refusal is neither cached nor logged. */
  readonly isFinal?: (answer: UpstreamRefusal) => boolean;
}

export interface RegistryDocument {
  readonly bytes: Buffer;
  /** The `Link` header, which names the next page. */
  readonly link: string | undefined;
}

export function createRegistryClient(options: UpstreamsOptions): RegistryClient {
  return new HttpRegistryClient(new Upstreams(options), new HeadSupport(options.clock, options.log));
}

/** Every manifest request accepts all four types, because without them the Hub has answered with schema 1. */
const ACCEPT_MANIFESTS = { accept: MANIFEST_MEDIA_TYPES.join(', ') };

class HttpRegistryClient implements RegistryClient {
  readonly #upstreams: Upstreams;
  readonly #heads: HeadSupport;

  constructor(upstreams: Upstreams, heads: HeadSupport) {
    this.#upstreams = upstreams;
    this.#heads = heads;
  }

  async headManifest(
    repository: Repository,
    reference: Reference,
    ask: UpstreamAskOptions,
  ): Promise<UpstreamResult<ManifestHead>> {
    const resource = `manifests/${formatReference(reference)}`;
    const request: ResourceRequest = { repository, method: 'HEAD', resource, ask, headers: ACCEPT_MANIFESTS };
    return this.#heads.ask<ManifestHead>({
      key: `manifests of ${namespaceOf(repository)}`,
      isFickle: false,
      head: (isFinal) =>
        this.#upstreams.ask({ ...request, isFinal }, async (response) =>
          readHead(response, repository, reference),
        ),
      get: () => this.getManifest(repository, reference, ask),
    });
  }

  getManifest(
    repository: Repository,
    reference: Reference,
    ask: UpstreamAskOptions,
  ): Promise<UpstreamResult<UpstreamManifest>> {
    const resource = `manifests/${formatReference(reference)}`;
    const request: ResourceRequest = { repository, method: 'GET', resource, ask, headers: ACCEPT_MANIFESTS };
    return this.#upstreams.ask(request, (response) => readManifest(response, repository, reference));
  }

  headBlob(
    repository: Repository,
    digest: Digest,
    ask: UpstreamAskOptions & { readonly wantSize?: boolean },
  ): Promise<UpstreamResult<BlobHead>> {
    const redirectIsYes = ask.wantSize !== true;
    const request = { repository, resource: `blobs/${digest}`, ask, redirectIsYes };
    const read = async (response: UpstreamResponse): Promise<UpstreamResult<BlobHead>> => {
      discard(response);
      if (!response.redirected && isPage(response)) return unfit(repository, 'a page is no blob');
      return ok({ size: sizeOfBlob(response) });
    };
    return this.#heads.ask({
      key: `blobs of ${repository.name}`,
      isFickle: true,
      head: (isFinal) => this.#upstreams.ask({ ...request, method: 'HEAD', isFinal }, read),
      get: () => this.#upstreams.ask({ ...request, method: 'GET', headers: { range: 'bytes=0-0' } }, read),
    });
  }

  async getBlob(
    repository: Repository,
    digest: Digest,
    ask: AskBlobOptions,
  ): Promise<UpstreamResult<BlobBody>> {
    const { from = 0, size } = ask;
    const headers = from === 0 ? {} : { range: `bytes=${from}-${size === undefined ? '' : size - 1}` };
    const request: ResourceRequest = { repository, method: 'GET', resource: `blobs/${digest}`, ask, headers };
    let isPartOfEncoded = false;
    const answer = await this.#upstreams.ask(
      { ...request, isFinal: () => !isPartOfEncoded },
      async (response) => {
        isPartOfEncoded = response.statusCode === 206 && isEncoded(response);
        const body = readBlobBody(response, repository, ask);
        if (body.kind !== 'ok') discard(response);
        return body;
      },
    );
    // A compressed blob can be decoded only as a whole.
    return isPartOfEncoded ? this.getBlob(repository, digest, { ...ask, from: 0 }) : answer;
  }

  getBlobPart(repository: Repository, digest: Digest, ask: AskPartOptions): Promise<UpstreamResult<Buffer>> {
    const headers = { range: `bytes=${ask.start}-${ask.end - 1}` };
    const request: ResourceRequest = { repository, method: 'GET', resource: `blobs/${digest}`, ask, headers };
    return this.#upstreams.ask(request, async (response) => {
      const answer = await readPart(response, repository, ask);
      if (answer.kind !== 'ok') discard(response);
      return answer;
    });
  }

  getDocument(
    repository: Repository,
    resource: string,
    ask: AskDocumentOptions,
  ): Promise<UpstreamResult<RegistryDocument>> {
    const { absentBy, isFinal } = ask;
    const request: ResourceRequest = {
      repository,
      method: 'GET',
      resource,
      ask,
      ...(absentBy && { absentBy }),
      ...(isFinal && { isFinal }),
    };
    return this.#upstreams.ask(request, async ({ headers, body }) => {
      const bytes = await readBody(body, MAX_DOCUMENT_SIZE);
      if (bytes === undefined) return unfit(repository, 'a document is larger than 4 MiB');
      return ok({ bytes, link: typeof headers.link === 'string' ? headers.link : undefined });
    });
  }

  reservePull(repository: Repository, requester: Requester): ReservedPull | UnavailablePull {
    return this.#upstreams.reservePull(repository, requester);
  }

  get waiting(): number {
    return this.#upstreams.waiting;
  }

  accounts(upstream: UpstreamHost): readonly AccountReport[] {
    return this.#upstreams.accounts(upstream);
  }

  reload(): Promise<void> {
    return this.#upstreams.reload();
  }

  [Symbol.dispose](): void {
    this.#upstreams[Symbol.dispose]();
  }

  check(upstream: UpstreamHost): Promise<UpstreamCheck> {
    return this.#upstreams.check(upstream);
  }
}

/**
 * Returns the group of repositories that one program serves: a project of Harbor, or a repository of
 * Artifactory.
 */
function namespaceOf({ upstream, path }: Repository): string {
  const [namespace = ''] = path.split('/', 1);
  return `${upstream}/${namespace}`;
}

/**
 * Reads a HEAD. Some registries omit the digest, the length or the type. Then the result is `undefined`,
 * because only the manifest can tell.
 */
function readHead(
  response: UpstreamResponse,
  repository: Repository,
  reference: Reference,
): UpstreamResult<ManifestHead | undefined> {
  discard(response);
  const type = typeOf(response);
  const mediaType = parseManifestMediaType(type ?? '');
  if (mediaType === undefined) {
    const answer = unsupportedType(repository, type);
    return answer.kind === 'denied' ? answer : ok(undefined);
  }
  const digest = digestIn(response);
  if (reference.kind === 'digest' && digest !== undefined && digest !== reference.digest)
    return unfit(repository, 'asked for one digest, it answers with another');
  const size = sizeIn(response);
  return ok(digest === undefined || !size ? undefined : { digest, mediaType, size });
}

/** @throws if the body breaks off or takes longer than the deadline. */
async function readManifest(
  response: UpstreamResponse,
  repository: Repository,
  reference: Reference,
): Promise<UpstreamResult<UpstreamManifest>> {
  const bytes = await readBody(response.body, MAX_DOCUMENT_SIZE);
  if (bytes === undefined) return unfit(repository, 'a manifest is larger than 4 MiB');
  const label = typeOf(response);
  const type = manifestTypeOf(label, bytes) ?? label;
  const mediaType = parseManifestMediaType(type ?? '');
  if (mediaType === undefined) return unsupportedType(repository, type);
  const named = reference.kind === 'digest' ? reference.digest : digestIn(response);
  if (named !== undefined && !matchesDigest(startHash(named).update(bytes), named))
    return unfit(repository, 'a manifest is not what its digest says');
  return ok({ digest: named ?? sha256Of(bytes), mediaType, size: bytes.length, bytes });
}

function readBlobBody(
  response: UpstreamResponse,
  repository: Repository,
  { from = 0, size }: AskBlobOptions,
): UpstreamResult<BlobBody> {
  if (!response.redirected && isPage(response)) return unfit(repository, 'a page is no blob');
  if (response.statusCode === 206 && isEncoded(response))
    return unfit(repository, 'a part of a compressed blob');
  const part = response.statusCode === 206 ? partIn(response) : { begins: 0, total: sizeIn(response) };
  if (part === undefined) return unfit(repository, 'a part of a blob, without saying which');
  // An upstream that does not support ranges sends the blob from its beginning.
  if (part.begins !== 0 && part.begins !== from)
    return unfit(repository, 'another part of a blob than was asked for');
  if (size !== undefined && part.total !== undefined && part.total !== size)
    return unfit(repository, 'a blob has another size than it had before');
  return ok({ from: part.begins, size: part.total, body: response.body, host: response.host });
}

/** @throws if the body breaks off or takes longer than the deadline. */
async function readPart(
  response: UpstreamResponse,
  repository: Repository,
  { start, end, size }: AskPartOptions,
): Promise<UpstreamResult<Buffer>> {
  const part = response.statusCode === 206 && !isEncoded(response) ? partIn(response) : undefined;
  if (part?.begins !== start || (part.total ?? size) !== size)
    return unfit(repository, 'another part of a blob than was asked for');
  const bytes = await readBody(response.body, end - start);
  return bytes?.length === end - start ? ok(bytes) : unfit(repository, 'a part of a blob has another length');
}

function partIn({ headers }: UpstreamResponse) {
  const range = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(String(headers['content-range']));
  if (range === null) return undefined;
  const [, begins, total] = range;
  return { begins: Number(begins), total: total === '*' ? undefined : Number(total) };
}

function digestIn({ headers }: UpstreamResponse): Digest | undefined {
  return parseDigest(String(headers['docker-content-digest']));
}

/** Returns the size of the whole blob from the headers of any successful response. */
function sizeOfBlob(response: UpstreamResponse): number | undefined {
  if (isEncoded(response)) return undefined;
  if (response.statusCode === 206) return partIn(response)?.total;
  return response.statusCode === 200 ? sizeIn(response) : undefined;
}

function sizeIn({ headers }: UpstreamResponse): number | undefined {
  const length = headers['content-length'];
  return typeof length === 'string' && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/**
 * Refuses an answer of another type: a manifest of a type that is not mirrored is `unsupported`, and a page
 * of HTML is invalid.
 */
function unsupportedType(repository: Repository, type: string | undefined): UpstreamRefusal {
  const mediaType = parseUnmirroredMediaType(type ?? '');
  if (mediaType !== undefined) return { kind: 'denied', reason: 'unsupported', mediaType };
  const name = displayedType(type);
  return unfit(
    repository,
    name === undefined ? 'a manifest has no valid media type' : `${name} is no type of a manifest`,
  );
}

function unfit({ name }: Repository, why: string): UpstreamRefusal {
  return unavailable('unfit', `${name}: ${why}`);
}
