/**
 * A registry that serves images to everybody and answers correctly, unless a test says otherwise. Tests use
 * it to answer as one particular kind of registry does.
 */
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Digest } from '../../src/registry/digest.ts';
import type { TestImage, TestManifest } from './image.ts';
import { type LocalServer, serveLocally } from './local-server.ts';

export interface StandInRequest {
  readonly method: string;
  /** The path, such as `/v2/acme/app/manifests/1`. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface StandInAnswer {
  readonly status: number;
  /** A header with an empty value is not sent. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Absent: empty. The answer to a HEAD has no body. */
  readonly body?: Uint8Array | string;
}

/** Answers a request as this kind of registry does; `usual` is the correct answer. */
export type StandInBehaviour = (request: StandInRequest, usual: StandInAnswer) => StandInAnswer;

const MANIFEST = /^\/v2\/.+\/manifests\/([^/]+)$/;
const BLOB = /^\/v2\/.+\/blobs\/([^/]+)$/;
const TAGS = /^\/v2\/(.+)\/tags\/list$/;

export class StandInRegistry implements AsyncDisposable {
  readonly requests: StandInRequest[] = [];
  readonly tags = new Map<string, Digest>();
  readonly manifests = new Map<string, TestManifest>();
  readonly blobs = new Map<string, Buffer>();
  /** The behaviour from now on. */
  behave: StandInBehaviour;
  #server!: LocalServer;

  static async start(behave: StandInBehaviour = (_, usual) => usual): Promise<StandInRegistry> {
    const registry = new StandInRegistry(behave);
    registry.#server = await serveLocally((request, response) => {
      const { pathname: path, searchParams: query } = new URL(request.url ?? '/', 'http://registry.invalid');
      const asked = { method: request.method ?? '', path, query, headers: request.headers };
      registry.requests.push(asked);
      send(response, asked, registry.behave(asked, registry.usual(asked)));
    });
    return registry;
  }

  private constructor(behave: StandInBehaviour) {
    this.behave = behave;
  }

  get url(): URL {
    return this.#server.url;
  }

  push(tag: string, image: TestImage): void {
    this.tags.set(tag, image.digest);
    for (const manifest of image.manifests) this.manifests.set(manifest.digest, manifest);
    for (const [digest, bytes] of image.blobs) this.blobs.set(digest, bytes);
  }

  /** Returns the requests since the last call, as `GET /v2/…`. */
  takeRequests(): string[] {
    return this.requests.splice(0).map(({ method, path }) => `${method} ${path}`);
  }

  usual({ path, query, headers }: StandInRequest): StandInAnswer {
    const manifest = this.#manifest(MANIFEST.exec(path)?.[1]);
    if (manifest !== undefined) {
      const { mediaType, digest, bytes } = manifest;
      return {
        status: 200,
        headers: { 'content-type': mediaType, 'docker-content-digest': digest },
        body: bytes,
      };
    }
    const blob = this.blobs.get(BLOB.exec(path)?.[1] ?? '');
    if (blob !== undefined) return ranged(blob, headers.range);
    const [, name] = TAGS.exec(path) ?? [];
    if (name !== undefined) return this.#page(name, query);
    if (path === '/v2/') return json(200, {});
    return refusal(
      404,
      MANIFEST.test(path) ? 'MANIFEST_UNKNOWN' : BLOB.test(path) ? 'BLOB_UNKNOWN' : 'UNSUPPORTED',
    );
  }

  #manifest(reference = ''): TestManifest | undefined {
    return this.manifests.get(this.tags.get(reference) ?? reference);
  }

  #page(name: string, query: URLSearchParams): StandInAnswer {
    const rest = [...this.tags.keys()].sort().filter((tag) => tag > (query.get('last') ?? ''));
    const tags = rest.slice(0, Number(query.get('n') ?? rest.length));
    const { headers, ...answer } = json(200, { name, tags });
    if (tags.length === rest.length) return { ...answer, headers };
    const link = `</v2/${name}/tags/list?last=${tags.at(-1)}&n=${query.get('n')}>; rel="next"`;
    return { ...answer, headers: { ...headers, link } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
  }
}

/** Makes a refusal in a registry's own words. */
export function refusal(status: number, code: string): StandInAnswer {
  return json(status, { errors: [{ code, message: STATUS_CODES[status] ?? '' }] });
}

export function json(status: number, body: object): StandInAnswer & { headers: Record<string, string> } {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8' },
    body: JSON.stringify(body),
  };
}

/** Makes a page that no registry writes, but a firewall, a proxy or a CDN does. */
export function page(status: number, type = 'text/html'): StandInAnswer {
  return {
    status,
    headers: { 'content-type': type },
    body: '<html><body>The request is blocked.</body></html>',
  };
}

function ranged(bytes: Buffer, range: string | string[] | undefined): StandInAnswer {
  const headers = { 'content-type': 'application/octet-stream' };
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(String(range)) ?? [];
  if (from === undefined) return { status: 200, headers, body: bytes };
  const body = bytes.subarray(Number(from), to === '' ? undefined : Number(to) + 1);
  const last = Number(from) + body.length - 1;
  return {
    status: 206,
    headers: { ...headers, 'content-range': `bytes ${from}-${last}/${bytes.length}` },
    body,
  };
}

function send(response: ServerResponse, { method }: StandInRequest, answer: StandInAnswer): void {
  const { status, headers = {}, body = '' } = answer;
  const all = { 'content-length': String(Buffer.byteLength(body)), ...headers };
  for (const [name, value] of Object.entries(all)) if (value !== '') response.setHeader(name, value);
  response.writeHead(status);
  response.end(method === 'HEAD' ? undefined : body);
}
