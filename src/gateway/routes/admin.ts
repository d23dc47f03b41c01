import Koa from 'koa';
import type { Metrics } from '../metrics/metrics.ts';

export interface AdminRooms {
  readonly readiness: () => Promise<{ readonly ready: boolean }>;
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>;
}

/** What the admin listener says: is this process alive, can it serve, and how does it? */
export function adminApplication({ readiness, metrics }: AdminRooms): Koa {
  const app = new Koa();
  app.use(async (context) => {
    if (context.path === '/healthz') {
      context.body = 'ok\n';
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
