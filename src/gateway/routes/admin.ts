import Koa from 'koa';

/** What the admin listener says: is this process alive, and can it serve? */
export function adminApplication(readiness: () => Promise<{ readonly ready: boolean }>): Koa {
  const app = new Koa();
  app.use(async (context) => {
    if (context.path === '/healthz') {
      context.body = 'ok\n';
    } else if (context.path === '/readyz') {
      const body = await readiness();
      context.status = body.ready ? 200 : 503;
      context.body = body;
    }
  });
  return app;
}
