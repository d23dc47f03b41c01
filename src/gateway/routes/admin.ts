import Koa from 'koa';
import type { Reached } from '../http/reach-listener.ts';
import type { Metrics } from '../metrics/metrics.ts';

export interface AdminRooms {
  readonly readiness: () => Promise<{ readonly ready: boolean }>;
  readonly reach: () => Promise<Reached>;
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>;
}

/** What the admin listener says: is this process alive, can it serve, and how does it? */
export function adminApplication({ readiness, metrics, reach }: AdminRooms): Koa {
  const app = new Koa();
  app.use(async (context) => {
    if (context.path === '/healthz') {
      // A listener that is full is alive.
      const isAlive = (await reach()) !== 'silent';
      context.status = isAlive ? 200 : 503;
      context.body = isAlive ? 'ok\n' : 'a gateway does not answer connections\n';
    } else if (context.path === '/readyz') {
      const body = await readiness();
      context.status = body.ready ? 200 : 503;
      context.body = body;
    } else if (context.path === '/metrics') {
      context.body = await metrics.text();
      context.type = metrics.contentType;
    }
  });
  return app;
}
