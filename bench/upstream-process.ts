/**
 * The stand-in Hub in a process of its own, so that its cost is not counted as a server's. Messages tell it
 * its content and its speed.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { ManifestMediaType } from '../src/registry/media-type.ts';
import { FakeHub } from '../test/support/fake-hub.ts';
import { imageOf, manifestOf } from '../test/support/image.ts';
import { serveLocally } from '../test/support/local-server.ts';
import { ACCOUNT } from '../test/support/test-core.ts';
import { MIB, Pool, REPOSITORY, type ToldImage } from './content.ts';

export type UpstreamOrder =
  | { readonly kind: 'push'; readonly image: ToldImage }
  /** In bytes per second of all downloads of blobs together; null: unlimited. */
  | { readonly kind: 'rate'; readonly rate: number | null }
  | { readonly kind: 'take-traffic' };

/** The requests to the Hub since the last time. */
export interface Traffic {
  readonly blobRequests: number;
  readonly blobBytes: number;
}

/** The Hub sends much content with few writes, so that a cold pull does not wait for it. */
const PIECE = MIB;
const METERED_PIECE = MIB / 4;

const pool = new Pool();
const hub = await FakeHub.start();
hub.accounts.push({ ...ACCOUNT, repositories: [] });
hub.remaining = Number.POSITIVE_INFINITY;
setRate(null);

function setRate(rate: number | null): void {
  hub.heal();
  let free = 0;
  const take = (bytes: number): Promise<void> | undefined => {
    if (rate === null) return undefined;
    const now = performance.now();
    free = Math.max(free, now) + (bytes / rate) * 1000;
    return delay(free - now);
  };
  hub.plant('cdn', /./, { kind: 'metered', bytes: rate === null ? PIECE : METERED_PIECE, take });
}

function push({ tag, mediaType, manifest, config, layers }: ToldImage): void {
  const blobs = imageOf({ layers: layers.map((layer) => pool.of(layer)) });
  const document = manifestOf(
    JSON.parse(Buffer.from(manifest, 'base64').toString()),
    mediaType as ManifestMediaType,
  );
  const bytes = Buffer.from(config, 'base64');
  const named = manifestConfig(manifest);
  const all = new Map([...blobs.blobs].filter(([digest]) => digest !== blobs.config));
  hub.push(REPOSITORY, tag, { ...blobs, ...document, manifests: [document], blobs: all.set(named, bytes) });
}

function manifestConfig(manifest: string) {
  return JSON.parse(Buffer.from(manifest, 'base64').toString()).config.digest;
}

function takeTraffic(): Traffic {
  const blobs = hub.log.splice(0).filter(({ server }) => server === 'cdn');
  return {
    blobRequests: blobs.length,
    blobBytes: blobs.reduce((total, { bytes }) => total + bytes, 0),
  };
}

/**
 * Serves the Hub with its token service on one origin, because a current registry accepts no other realm of a
 * local upstream. Redirects to the CDN are passed on and not followed, so no blob passes here.
 */
async function pass({ url = '/', method = 'GET', headers }: IncomingMessage, response: ServerResponse) {
  const { accept = '*/*', authorization } = headers;
  const to = new URL(url, url.startsWith('/token') ? hub.tokenUrl : hub.url);
  const answer = await fetch(to, {
    method,
    redirect: 'manual',
    headers: { accept, ...(authorization !== undefined && { authorization }) },
  });
  for (const [name, value] of answer.headers) {
    const shown = value.replaceAll(hub.tokenUrl.origin, front.url.origin);
    if (name !== 'connection' && name !== 'transfer-encoding') response.setHeader(name, shown);
  }
  response.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()));
}

function obey(order: UpstreamOrder): Traffic | null {
  if (order.kind === 'push') push(order.image);
  else if (order.kind === 'rate') setRate(order.rate);
  else return takeTraffic();
  return null;
}

process.on('message', (order: UpstreamOrder) => process.send?.(obey(order)));
process.on('disconnect', () => process.exit());
process.on('SIGINT', () => {});
const front = await serveLocally((request, response) => void pass(request, response));
process.send?.({ url: hub.url.href, tokenUrl: hub.tokenUrl.href, frontUrl: front.url.href });
