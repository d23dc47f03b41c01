import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Digest, parseDigest } from '../../registry/digest.ts';
import { ERRORS } from '../../registry/error.ts';
import { formatPage, type Page } from '../../registry/page.ts';
import { familiarName, type UpstreamNames } from '../../registry/repository.ts';
import { type RepositoryRoute, resourceOf } from '../../registry/route.ts';
import type { CoreAnswer } from '../clients/core-client.ts';
import { refuse, respond } from '../http/respond.ts';
import { blobHeaders, type Delivered, deliverBlob, deliverStream } from './deliver-blob.ts';
import type { DeliveryPool } from './delivery-pool.ts';

/** The request and response that an answer of the core is sent to. */
export interface Recipient {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: RepositoryRoute;
  readonly pool: DeliveryPool;
  readonly names: Pick<UpstreamNames, 'hosted'>;
  /** Asks the core again if it has interrupted a fill. */
  readonly askAgain: () => Promise<CoreAnswer>;
}

export async function deliver(to: Recipient, answer: CoreAnswer): Promise<Delivered> {
  const { request, response, route, pool, askAgain } = to;
  switch (answer.kind) {
    case 'refused':
      refuse(response, { ...answer, headers: staleness(answer.age) });
      return { status: ERRORS[answer.error].status, bytes: 0 };
    case 'manifest':
      return deliverManifest(to, answer);
    case 'document':
      return deliverDocument(to, answer);
    case 'blob-head': {
      const digest = digestOf(route);
      if (isKnown(request, digest)) return notModified(response, digest);
      respond(response, 200, blobHeaders(digest, answer.size));
      response.end();
      return { status: 200, bytes: 0 };
    }
    case 'blob-part':
      return deliverPart(to, answer);
    case 'blob-stream':
      return deliverStream(response, digestOf(route), answer.size, answer.body);
    case 'blob': {
      await using source = answer.source;
      const digest = digestOf(route);
      return isKnown(request, digest)
        ? notModified(response, digest)
        : await deliverBlob({ request, response, digest, pool, askAgain }, source);
    }
  }
}

function deliverPart(
  { request, response, route }: Recipient,
  { start, end, size, bytes }: CoreAnswer & { kind: 'blob-part' },
): Delivered {
  const digest = digestOf(route);
  if (isKnown(request, digest)) return notModified(response, digest);
  const range = `bytes ${start}-${end - 1}/${size}`;
  respond(response, 206, { ...blobHeaders(digest, bytes.length), 'content-range': range });
  response.end(bytes);
  return { status: 206, bytes: bytes.length };
}

function digestOf(route: RepositoryRoute): Digest {
  if (route.kind !== 'blob') throw new Error('the core answers with a blob to something else');
  return route.digest;
}

function deliverManifest(
  { request, response }: Recipient,
  manifest: CoreAnswer & { kind: 'manifest' },
): Delivered {
  const { digest, mediaType, size, bytes, age } = manifest;
  if (isKnown(request, digest)) return notModified(response, digest);
  respond(response, 200, {
    'content-type': mediaType,
    'content-length': size,
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    ...staleness(age),
  });
  response.end(bytes);
  return { status: 200, bytes: bytes?.length ?? 0 };
}

/** RFC 9111 made `Warning` obsolete without a replacement, but a stale answer should say that it is stale. */
function staleness(age: number | undefined) {
  return age === undefined ? {} : { age: String(age), warning: '111 hubgate "Revalidation Failed"' };
}

function isKnown({ headers }: IncomingMessage, digest: Digest): boolean {
  const tags = headers['if-none-match']?.split(',') ?? [];
  return tags.some((tag) => tag.trim().replace(/^W\//, '') === `"${digest}"`);
}

function notModified(response: ServerResponse, digest: Digest): Delivered {
  respond(response, 304, { 'docker-content-digest': digest, etag: `"${digest}"` });
  response.end();
  return { status: 304, bytes: 0 };
}

/** Returns the resource of the next page of a list. A filter stays. */
function nextResource(route: RepositoryRoute, next: Page): string {
  if (route.kind !== 'referrers') return `tags/list?${formatPage(next)}`;
  const last = parseDigest(next.last ?? '');
  return resourceOf({ ...route, ...(last && { last }) });
}

function deliverDocument(
  { request, response, route, names }: Recipient,
  { bytes, next, filters, age }: CoreAnswer & { kind: 'document' },
): Delivered {
  const isIndex = route.kind === 'referrers';
  const link = next && `/v2/${familiarName(route.repository, names)}/${nextResource(route, next)}`;
  respond(response, 200, {
    'content-type': isIndex ? 'application/vnd.oci.image.index.v1+json' : 'application/json',
    'content-length': bytes.length,
    ...(link && { link: `<${link}>; rel="next"` }),
    ...(filters !== undefined && { 'oci-filters-applied': filters }),
    ...staleness(age),
  });
  const body = request.method === 'HEAD' ? undefined : bytes;
  response.end(body);
  return { status: 200, bytes: body?.length ?? 0 };
}
