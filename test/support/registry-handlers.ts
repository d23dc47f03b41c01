/** Parts of registries that answer as certain public ones do, for hosts of `test-network.ts`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TestImage } from './image.ts';
import type { Handler } from './test-network.ts';

export interface StandInRegistry {
  /** The path of the image's repository in URLs, with what precedes it: `/v2/hub/library/alpine`. */
  readonly at: string;
  readonly image: TestImage;
  /** The `Authorization` that a request must have; absent: none is needed. */
  readonly authorization?: string;
  /** The challenge to a request without it. */
  readonly challenge?: string;
  /**
   * The URL to which a request for a blob is redirected, without the digest; by default the bytes are sent.
   */
  readonly blobsAt?: string;
}

/** Makes a registry with one image, under the tag `latest`. */
export function standInRegistry(options: StandInRegistry): Handler {
  const { at, authorization, challenge } = options;
  const root = `${at.slice(0, at.indexOf('/v2/'))}/v2/`;
  return (request, response) => {
    const { url = '/', headers } = request;
    if (authorization !== undefined && headers.authorization !== authorization) {
      if (challenge !== undefined) response.setHeader('www-authenticate', challenge);
      const refusal = { code: 'UNAUTHORIZED', message: 'authentication required' };
      return sendJson(response, 401, { errors: [refusal] });
    }
    if (url === root) return sendJson(response, 200, {});
    const [kind, reference = ''] = url.startsWith(`${at}/`) ? url.slice(at.length + 1).split('/') : [];
    if (kind === 'manifests') return sendManifest(request, response, reference, options);
    if (kind === 'blobs') return sendBlob(request, response, reference, options);
    sendJson(response, 404, { errors: [{ code: 'NAME_UNKNOWN' }] });
  };
}

function sendManifest(
  request: IncomingMessage,
  response: ServerResponse,
  reference: string,
  { image }: StandInRegistry,
): void {
  const digest = reference === 'latest' ? image.digest : reference;
  const manifest = image.manifests.find((one) => one.digest === digest);
  if (manifest === undefined) return sendJson(response, 404, { errors: [{ code: 'MANIFEST_UNKNOWN' }] });
  response.setHeader('docker-content-digest', manifest.digest);
  send(request, response, manifest.mediaType, manifest.bytes);
}

function sendBlob(
  request: IncomingMessage,
  response: ServerResponse,
  reference: string,
  { image, blobsAt }: StandInRegistry,
): void {
  if (blobsAt !== undefined) return redirect(response, 307, `${blobsAt}${reference}`);
  const blob = [...image.blobs].find(([digest]) => digest === reference)?.[1];
  if (blob === undefined) return sendJson(response, 404, { errors: [{ code: 'BLOB_UNKNOWN' }] });
  send(request, response, 'application/octet-stream', blob);
}

/** Makes a store of blobs, which needs no authorization and refuses any. */
export function standInStore(image: TestImage): Handler {
  return (request, response) => {
    if (request.headers.authorization !== undefined) return sendJson(response, 400, {});
    const blob = [...image.blobs].find(([digest]) => request.url?.endsWith(digest))?.[1];
    if (blob === undefined) return sendJson(response, 404, {});
    send(request, response, 'application/octet-stream', blob);
  };
}

/**
 * Makes a token service. `login` is the required `Authorization`; absent: none is needed. `scope` is the only
 * scope that it knows.
 */
export function standInTokens(token: string, options: { login?: string; scope?: string } = {}): Handler {
  return (request, response) => {
    const url = new URL(request.url ?? '/', 'https://tokens.invalid');
    if (request.headers.authorization !== options.login) return sendJson(response, 401, {});
    const isKnown = options.scope === undefined || url.searchParams.get('scope') === options.scope;
    sendJson(response, 200, { token: isKnown ? token : 'opens-nothing', expires_in: 300 });
  };
}

export function redirect(response: ServerResponse, status: number, location: string): void {
  response.writeHead(status, { location, 'content-length': 0 }).end();
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  response.end(bytes);
}

function send(request: IncomingMessage, response: ServerResponse, type: string, bytes: Buffer): void {
  response.writeHead(200, { 'content-type': type, 'content-length': bytes.length });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}
