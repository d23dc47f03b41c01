import { addAbortSignal } from 'node:stream';
import Router from '@koa/router';
import type { Context } from 'koa';
import { formatLine, readLines } from '../../platform/ipc/json-lines.ts';
import { createLongPollEndpoint } from '../../platform/ipc/long-poll-endpoint.ts';
import { CACHE_HITS } from '../../protocol/core-api.ts';
import type { GatewayCaches } from '../gateway-caches.ts';
import type { Operations } from './operations.ts';

export interface CacheRouteDependencies {
  readonly gatewayCaches: GatewayCaches;
  readonly operations: Pick<Operations, 'answered'>;
  /** Ends the long polls for the cache generation. */
  readonly stopping: AbortSignal;
}

/** Returns the routes for the caches of the gateways: the generation of the cache, and the hits. */
export function cacheRoutes(dependencies: CacheRouteDependencies): Router {
  const { gatewayCaches, stopping } = dependencies;
  const generation = createLongPollEndpoint(gatewayCaches.generation, JSON.stringify, stopping);
  const router = new Router({ sensitive: true, strict: true });
  router.get('/generation', (context) => generation.answer(context));
  router.post('/hits', (context) => recordHits(context, dependencies));
  return router;
}

/**
 * Answers one request of a gateway that lasts as long as both run. Each line of the request reports cache
 * hits, and each line of the response names the pulls that they belong to.
 */
async function recordHits(
  context: Context,
  { gatewayCaches, operations, stopping }: CacheRouteDependencies,
): Promise<void> {
  const { req, res } = context;
  addAbortSignal(stopping, req);
  // The lines bypass Koa: this response lasts as long as its request, and each line of it answers one line of
  // the request. Koa would send a body when this function returns.
  context.respond = false;
  res.writeHead(200);
  const lines = readLines(req);
  for (;;) {
    const line = await lines.next().catch((error: Error) => {
      // The gateway or this core has ended.
      if (req.destroyed) return undefined;
      throw error;
    });
    if (line === undefined) break;
    const pulls = CACHE_HITS.parse(line).map((one) => {
      operations.answered('hit');
      return gatewayCaches.recordHit(one) ?? null;
    });
    res.write(formatLine(pulls));
  }
  res.end();
}
