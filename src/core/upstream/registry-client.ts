/**
 * Sends requests to upstream registries as the distribution spec and Docker Hub require. It answers what one
 * upstream says to one request. It depends on the network, and must not know what is cached or who wants it.
 */
import { readBody } from '../../platform/read-body.ts';
import type { Digest } from '../../registry/digest.ts';
import { MANIFEST_MEDIA_TYPES } from '../../registry/media-type.ts';
import { formatReference, type Reference } from '../../registry/reference.ts';
import type { Repository, UpstreamHost } from '../../registry/repository.ts';
import { MAX_DOCUMENT_SIZE } from '../limits.ts';
import type { UpstreamCheck } from './check-accounts.ts';
import { isEncoded } from './decode-content.ts';
import { HeadSupport } from './head-support.ts';
import {
  type AskBlobOptions,
  type AskPartOptions,
  type BlobBody,
  type BlobHead,
  readBlobBody,
  readPart,
  sizeOfBlob,
} from './read-blob.ts';
import { type ManifestHead, readHead, readManifest, type UpstreamManifest } from './read-manifest.ts';
import { isPage } from './registry-refusal.ts';
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
  unfit,
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
  /**
   * Takes a pull for questions of the requester that may follow, or refuses it without asking the upstream.
   */
  reservePull(repository: Repository, requester: Requester): ReservedPull | UnavailablePull;
  /** The number of requests that wait for their turn. */
  readonly waiting: number;
  /** Returns what is known of the accounts of an upstream. */
  accounts(upstream: UpstreamHost): readonly AccountReport[];
  /** Reads the files of credentials now. */
  reload(): Promise<void>;
  check(upstream: UpstreamHost): Promise<UpstreamCheck>;
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
    const acceptsRedirect = ask.wantSize !== true;
    const request = { repository, resource: `blobs/${digest}`, ask, acceptsRedirect };
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
