/**
 * A stand-in for Docker Hub: a registry, a token service and a CDN, each on its own origin, that behave as
 * the Hub is documented and observed to. Tests read its log, and inject faults.
 */
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Digest, parseDigest } from '../../src/registry/digest.ts';
import { MANIFEST_MEDIA_TYPES } from '../../src/registry/media-type.ts';
import { type Behaviour, type Fault, misbehave, sendBytes } from './fault.ts';
import type { TestImage, TestManifest } from './image.ts';
import { type LocalServer, serveLocally } from './local-server.ts';

export type HubServer = 'registry' | 'token' | 'cdn';

/** A request as the Hub saw it. */
export interface LogEntry {
  readonly server: HubServer;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  /** The bytes of the body that were written to the socket. */
  bytes: number;
  status: number;
}

export interface Account {
  readonly username: string;
  readonly password: string;
  /** The private repositories that it can read. */
  readonly repositories: readonly string[];
  /** True if it is more than a read-only access token. */
  readonly mayPush?: boolean;
  /** The manifest GETs that it has left in the window, if it has a count of its own. */
  remaining?: number;
}

/**
 * The origins of the token service and the CDN in answers, if a proxy in front of them gives them other
 * names.
 */
interface PublicOrigins {
  readonly token?: URL;
  readonly cdn?: URL;
}

interface HubRepository {
  readonly private: boolean;
  readonly tags: Map<string, Digest>;
  readonly manifests: Map<Digest, TestManifest>;
  readonly blobs: Map<Digest, Buffer>;
}

interface HubToken {
  readonly repository: string;
  /** Undefined for anonymous. */
  readonly username: string | undefined;
}

const SERVICE = 'registry.docker.io';

export class FakeHub implements AsyncDisposable {
  readonly log: LogEntry[] = [];
  readonly accounts: Account[] = [];
  /** The manifest GETs that each caller has left in the window. */
  remaining = 100;
  /** The manifest GETs of a whole window, as the Hub names them. */
  limit = 100;
  /**
   * False for an account without a limit: the Hub then sends no headers about a quota, and limits nothing.
   */
  isLimited = true;
  /**
   * The number of descriptors on one page of a list of referrers; undefined if the Hub has no such endpoint.
   */
  referrersPerPage: number | undefined;
  /** In milliseconds: how far its clock is ahead. */
  ahead = 0;
  readonly #faults: Fault[] = [];
  readonly #repositories = new Map<string, HubRepository>();
  readonly #tokens = new Map<string, HubToken>();
  readonly #signingKey = randomBytes(32);
  #publicOrigins: PublicOrigins = {};
  #registry!: LocalServer;
  #token!: LocalServer;
  #cdn!: LocalServer;

  static async start(publicOrigins: PublicOrigins = {}): Promise<FakeHub> {
    const hub = new FakeHub();
    hub.#publicOrigins = publicOrigins;
    hub.#registry = await serveLocally(hub.#served('registry', hub.#answerRegistry));
    hub.#token = await serveLocally(hub.#served('token', hub.#answerToken));
    hub.#cdn = await serveLocally(hub.#served('cdn', hub.#answerCdn));
    return hub;
  }

  get url(): URL {
    return this.#registry.url;
  }

  get tokenUrl(): URL {
    return this.#publicOrigins.token ?? this.#token.url;
  }

  get cdnUrl(): URL {
    return this.#publicOrigins.cdn ?? this.#cdn.url;
  }

  /** Returns the address on which one of its servers listens, whatever its name is in answers. */
  listeningAt(server: HubServer): URL {
    return { registry: this.#registry, token: this.#token, cdn: this.#cdn }[server].url;
  }

  /** Returns the challenge for a request for `path` without a sufficient token. */
  challenge(path: string, realm = new URL('/token', this.tokenUrl)): string {
    const parameters = [`realm="${realm.href}"`, `service="${SERVICE}"`];
    if (path !== '') parameters.push(`scope="repository:${path}:pull"`);
    return `Bearer ${parameters.join(',')}`;
  }

  /** Puts an image under a tag. If the repository does not exist, it is created as `private` says. */
  push(path: string, tag: string, image: TestImage, options: { private?: boolean } = {}): void {
    const repository = this.#repositories.get(path) ?? {
      private: options.private ?? false,
      tags: new Map(),
      manifests: new Map(),
      blobs: new Map(),
    };
    this.#repositories.set(path, repository);
    for (const manifest of image.manifests) repository.manifests.set(manifest.digest, manifest);
    for (const [digest, bytes] of image.blobs) repository.blobs.set(digest, bytes);
    repository.tags.set(tag, image.digest);
  }

  removeTag(path: string, tag: string): void {
    this.#repositories.get(path)?.tags.delete(tag);
  }

  setPrivate(path: string, isPrivate: boolean): void {
    const repository = this.#repositories.get(path);
    if (repository !== undefined) this.#repositories.set(path, { ...repository, private: isPrivate });
  }

  /**
   * Injects a fault: requests that match it are answered as `behaviour` says, `times` times (default:
   * always).
   */
  plant(on: HubServer, match: RegExp, behaviour: Behaviour, times = Number.POSITIVE_INFINITY): void {
    this.#faults.push({ on, match, behaviour, left: times });
  }

  heal(): void {
    this.#faults.length = 0;
  }

  /** Returns the requests since the last call, as `GET registry /v2/…` lines. */
  takeRequests(): string[] {
    return this.log.splice(0).map(({ server, method, path }) => `${method} ${server} ${path}`);
  }

  /** Stops the Hub: connections are refused until `start` on the same ports. */
  async stop(): Promise<void> {
    await Promise.all([this.#registry, this.#token, this.#cdn].map((server) => server.stop()));
  }

  async restart(): Promise<void> {
    await Promise.all([this.#registry, this.#token, this.#cdn].map((server) => server.restart()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #served(server: HubServer, answer: (request: IncomingMessage, response: ServerResponse, url: URL) => void) {
    return (request: IncomingMessage, response: ServerResponse) => {
      const url = new URL(request.url ?? '/', 'http://hub.invalid');
      const { method = '', headers } = request;
      const entry: LogEntry = {
        server,
        method,
        path: url.pathname,
        query: url.searchParams,
        headers,
        bytes: 0,
        status: 0,
      };
      this.log.push(entry);
      response.on('close', () => {
        entry.status = response.statusCode;
      });
      const write = response.write.bind(response);
      response.write = ((chunk: Buffer, ...rest: never[]) => {
        entry.bytes += chunk.length;
        return write(chunk, ...rest);
      }) as typeof response.write;
      response.setHeader('date', new Date(Date.now() + this.ahead).toUTCString());
      const fault = this.#faults.find((one) => {
        return one.on === server && one.left > 0 && one.match.test(`${method} ${url.pathname}`);
      });
      if (fault !== undefined) fault.left--;
      misbehave(response, fault?.behaviour, () => answer.call(this, request, response, url));
    };
  }

  #answerToken(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const { authorization } = request.headers;
    const account = authorization === undefined ? undefined : this.#authenticate(authorization);
    if (authorization !== undefined && account === undefined) {
      return json(response, 401, { details: 'incorrect username or password' });
    }
    const [, repository = '', actions = ''] =
      /^repository:(.+):(pull|pull,push|push,pull)$/.exec(url.searchParams.get('scope') ?? '') ?? [];
    const granted = this.#grant({ repository, username: account?.username }, actions.split(','));
    const access = granted.length === 0 ? [] : [{ type: 'repository', name: repository, actions: granted }];
    const claims = Buffer.from(JSON.stringify({ sub: account?.username ?? '', access }));
    const token = `${Buffer.from('{}').toString('base64url')}.${claims.toString('base64url')}.${randomUUID()}`;
    this.#tokens.set(token, { repository, username: account?.username });
    // The Hub never refuses a token: for a missing or private repository, the token allows nothing.
    const answer = { token, access_token: token, expires_in: 300, issued_at: new Date().toISOString() };
    sendBytes(request, response, 'application/json', Buffer.from(JSON.stringify(answer)));
  }

  /**
   * Returns the actions that the account's token allows. They apply even if it has no such repository yet.
   */
  #grant(token: HubToken, actions: readonly string[]): string[] {
    const repository = this.#repositories.get(token.repository);
    const account = this.accounts.find(({ username }) => username === token.username);
    const isOwn = account !== undefined && token.repository.startsWith(`${account.username}/`);
    if (!isOwn && (repository === undefined || !this.#mayRead(token, token.repository, repository)))
      return [];
    return actions.filter((action) => action === 'pull' || (isOwn && account.mayPush === true));
  }

  #authenticate(authorization: string): Account | undefined {
    const decoded = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString();
    return this.accounts.find(({ username, password }) => decoded === `${username}:${password}`);
  }

  #answerRegistry(request: IncomingMessage, response: ServerResponse, url: URL): void {
    response.setHeader('docker-distribution-api-version', 'registry/2.0');
    response.setHeader('strict-transport-security', 'max-age=31536000');
    const [, path = '', rest = ''] =
      /^\/v2\/(.+?)\/((?:manifests|blobs|tags|referrers)\/.+)$/.exec(url.pathname) ?? [];
    const token = this.#tokens.get(request.headers.authorization?.replace(/^Bearer /, '') ?? '');
    if (url.pathname === '/v2/' && token !== undefined) return json(response, 200, {});
    const repository = this.#repositories.get(path);
    if (repository === undefined || token === undefined || !this.#mayRead(token, path, repository)) {
      return this.#refuse(response, path, token === undefined ? undefined : 'insufficient_scope');
    }
    const [kind, reference = ''] = rest.split('/');
    if (kind === 'manifests') return this.#answerManifest(request, response, repository, reference, token);
    if (kind === 'blobs') return this.#answerBlob(response, repository, path, reference);
    if (kind === 'tags') return this.#answerTags(response, repository, path, url.searchParams);
    if (this.referrersPerPage === undefined)
      return json(response, 404, { errors: [{ code: 'UNSUPPORTED' }] });
    this.#answerReferrers(response, repository, this.referrersPerPage, url);
  }

  #mayRead(token: HubToken, path: string, repository: HubRepository): boolean {
    if (token.repository !== path) return false;
    if (!repository.private) return true;
    const account = this.accounts.find(({ username }) => username === token.username);
    return account?.repositories.includes(path) ?? false;
  }

  #refuse(response: ServerResponse, path: string, error: string | undefined): void {
    const challenge = this.challenge(path);
    response.setHeader('www-authenticate', error === undefined ? challenge : `${challenge},error="${error}"`);
    const detail = [{ Type: 'repository', Class: '', Name: path, Action: 'pull' }];
    json(response, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'authentication required', detail }] });
  }

  #answerManifest(
    request: IncomingMessage,
    response: ServerResponse,
    repository: HubRepository,
    reference: string,
    { username }: HubToken,
  ): void {
    const account = this.accounts.find((one) => one.username === username);
    const count: { remaining: number } = hasOwnCount(account) ? account : this;
    const digest = repository.tags.get(reference) ?? parseDigest(reference);
    const manifest = digest === undefined ? undefined : repository.manifests.get(digest);
    if (this.isLimited) {
      response.setHeader('ratelimit-limit', `${this.limit};w=21600`);
      response.setHeader('ratelimit-remaining', `${Math.max(0, count.remaining)};w=21600`);
      response.setHeader('docker-ratelimit-source', '192.0.2.1');
    }
    if (manifest === undefined) return json(response, 404, { errors: [{ code: 'MANIFEST_UNKNOWN' }] });
    if (request.method === 'GET' && this.isLimited && count.remaining-- <= 0) {
      return json(response, 429, {
        errors: [{ code: 'TOOMANYREQUESTS', message: 'You have reached your pull rate limit.' }],
      });
    }
    const accepted = MANIFEST_MEDIA_TYPES.every((type) => request.headers.accept?.includes(type));
    response.setHeader('docker-content-digest', manifest.digest);
    response.setHeader('etag', `"${manifest.digest}"`);
    // A client that leaves types out of Accept gets schema 1.
    const type = accepted ? manifest.mediaType : 'application/vnd.docker.distribution.manifest.v1+prettyjws';
    sendBytes(request, response, type, manifest.bytes);
  }

  #answerBlob(response: ServerResponse, repository: HubRepository, path: string, reference: string): void {
    const digest = parseDigest(reference);
    if (digest === undefined || !repository.blobs.has(digest)) {
      return json(response, 404, { errors: [{ code: 'BLOB_UNKNOWN' }] });
    }
    const location = new URL(`/registry-v2/docker/registry/v2/blobs/${digest}/data`, this.cdnUrl);
    location.searchParams.set('repository', path);
    location.searchParams.set('verify', this.#sign(path, digest));
    response.writeHead(307, { location: location.href, 'content-length': 0 }).end();
  }

  #answerTags(
    response: ServerResponse,
    repository: HubRepository,
    path: string,
    query: URLSearchParams,
  ): void {
    const all = [...repository.tags.keys()].sort();
    const after = all.filter((tag) => tag > (query.get('last') ?? ''));
    const page = query.has('n') ? after.slice(0, Number(query.get('n'))) : after;
    if (page.length < after.length) {
      response.setHeader(
        'link',
        `</v2/${path}/tags/list?last=${page.at(-1)}&n=${query.get('n')}>; rel="next"`,
      );
    }
    json(response, 200, { name: path, tags: page });
  }

  #answerReferrers(response: ServerResponse, { manifests }: HubRepository, perPage: number, url: URL): void {
    const subject = url.pathname.split('/').at(-1) ?? '';
    const all = [...manifests.values()].filter((manifest) => subjectOf(manifest) === subject);
    const page = Number(url.searchParams.get('page') ?? 0);
    if ((page + 1) * perPage < all.length)
      response.setHeader('link', `<${url.pathname}?page=${page + 1}>; rel="next"`);
    const descriptors = all.slice(page * perPage, (page + 1) * perPage).map(descriptorOf);
    const type = 'application/vnd.oci.image.index.v1+json';
    json(response, 200, { schemaVersion: 2, mediaType: type, manifests: descriptors }, type);
  }

  #answerCdn(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const digest = parseDigest(url.pathname.split('/').at(-2) ?? '');
    const path = url.searchParams.get('repository') ?? '';
    if (digest === undefined || url.searchParams.get('verify') !== this.#sign(path, digest)) {
      return json(response, 403, { error: 'signature' });
    }
    // Object stores refuse a request with two signatures.
    if (request.headers.authorization !== undefined)
      return json(response, 400, { error: 'two authorizations' });
    sendBytes(
      request,
      response,
      'application/octet-stream',
      this.#repositories.get(path)?.blobs.get(digest) ?? Buffer.of(),
    );
  }

  #sign(path: string, digest: Digest): string {
    return createHmac('sha256', this.#signingKey).update(`${path} ${digest}`).digest('base64url');
  }
}

function hasOwnCount(account: Account | undefined): account is Account & { remaining: number } {
  return account?.remaining !== undefined;
}

/** Describes a manifest as a list of referrers does (distribution spec, listing referrers). */
function descriptorOf({ digest, mediaType, bytes }: TestManifest): object {
  const { artifactType, config, annotations } = JSON.parse(bytes.toString());
  const described = { artifactType: artifactType ?? config?.mediaType, annotations };
  return { mediaType, digest, size: bytes.length, ...described };
}

/** Returns the digest of the manifest that this one refers to. */
function subjectOf({ bytes }: TestManifest): unknown {
  return JSON.parse(bytes.toString()).subject?.digest;
}

function json(response: ServerResponse, status: number, body: object, type = 'application/json'): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'content-type': type, 'content-length': bytes.length });
  response.end(bytes);
}
