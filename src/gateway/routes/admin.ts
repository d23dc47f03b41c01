import Koa from 'koa';
import { isOwnHost } from '../http/own-host.ts';
import type { Reached } from '../http/reach-listener.ts';
import { isOriginForm } from '../http/target.ts';
import type { Metrics } from '../metrics/metrics.ts';

export interface AdminDependencies {
  readonly readiness: () => Promise<{ readonly ready: boolean }>;
  readonly reach: () => Promise<Reached>;
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>;
  /** The configured names of the mirror, in lower case. */
  readonly names: ReadonlySet<string>;
}

const MISDIRECTED = 421;

/** The admin listener tells whether this process is alive and can serve, and its metrics. */
export function adminApplication({ readiness, metrics, reach, names }: AdminDependencies): Koa {
  const app = new Koa();
  app.use(async (context, next) => {
    const { url, headers } = context.req;
    // The URL parser throws if the target is not a URL.
    if (!isOriginForm(url)) context.status = 404;
    else if (isOwnHost(headers.host, names)) await next();
    else {
      context.status = MISDIRECTED;
      context.body =
        'this listener answers only for addresses, localhost, and the names in server.names and server.url\n';
    }
  });
  app.use(async (context) => {
    if (context.path === '/healthz') {
      // A full listener counts as alive.
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
