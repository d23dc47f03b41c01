import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { type Digest, parseDigest, sha256Of } from '../../../src/registry/digest.ts';
import { parseManifestMediaType } from '../../../src/registry/media-type.ts';
import type { FakeHub } from '../../support/fake-hub.ts';

/** Accepts pushes (distribution spec, pushing) for a stand-in that serves pulls only. It checks no token. */
export class PushedContent {
  readonly #uploads = new Map<string, Buffer>();
  readonly #blobs = new Map<Digest, Buffer>();

  async answer(request: IncomingMessage, response: ServerResponse, hub: FakeHub): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://hub.invalid');
    const [, path = '', kind, reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs\/uploads)\/([^/]*)$/.exec(url.pathname) ?? [];
    if (request.headers.authorization === undefined) {
      const scope = hub.challenge(path).replace(':pull"', ':pull,push"');
      response.writeHead(401, { 'www-authenticate': scope }).end();
      return;
    }
    const bytes = await buffer(request);
    if (kind === 'manifests') this.#takeManifest(request, response, hub, { path, reference, bytes });
    else this.#takeUpload(request, response, { path, id: reference, bytes, url });
  }

  #takeUpload(
    { method }: IncomingMessage,
    response: ServerResponse,
    { path, id, bytes, url }: { path: string; id: string; bytes: Buffer; url: URL },
  ): void {
    const upload = method === 'POST' ? randomUUID() : id;
    const content = Buffer.concat([this.#uploads.get(upload) ?? Buffer.of(), bytes]);
    this.#uploads.set(upload, content);
    const digest = parseDigest(url.searchParams.get('digest') ?? '');
    if (digest === undefined) {
      const location = `/v2/${path}/blobs/uploads/${upload}`;
      const range = `0-${Math.max(0, content.length - 1)}`;
      response.writeHead(202, { location, range, 'docker-upload-uuid': upload }).end();
      return;
    }
    if (sha256Of(content) !== digest) return void response.writeHead(400).end();
    this.#blobs.set(digest, content);
    response.writeHead(201, { location: `/v2/${path}/blobs/${digest}` }).end();
  }

  #takeManifest(
    { headers }: IncomingMessage,
    response: ServerResponse,
    hub: FakeHub,
    { path, reference, bytes }: { path: string; reference: string; bytes: Buffer },
  ): void {
    const mediaType = parseManifestMediaType(headers['content-type'] ?? '');
    if (mediaType === undefined) return void response.writeHead(400).end();
    const digest = sha256Of(bytes);
    const { config, layers = [] } = JSON.parse(bytes.toString());
    const named: Digest[] = [config, ...layers].flatMap((one) => parseDigest(one?.digest ?? '') ?? []);
    const blobs = new Map(
      named.map((one) => [one, this.#blobs.get(one)] as const).filter((one) => isKnown(one)),
    );
    const manifest = { digest, mediaType, bytes };
    const image = { ...manifest, manifests: [manifest], config: digest, layers: [], blobs };
    hub.push(path, reference, image);
    if (parseDigest(reference) !== undefined) hub.removeTag(path, reference);
    const subject = JSON.parse(bytes.toString()).subject?.digest;
    const isListed = subject !== undefined && hub.referrersPerPage !== undefined;
    response.writeHead(201, {
      location: `/v2/${path}/manifests/${digest}`,
      'docker-content-digest': digest,
      ...(isListed && { 'oci-subject': subject }),
    });
    response.end();
  }
}

function isKnown(entry: readonly [Digest, Buffer | undefined]): entry is readonly [Digest, Buffer] {
  return entry[1] !== undefined;
}
