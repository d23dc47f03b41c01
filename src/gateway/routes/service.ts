import Router from '@koa/router';
import { addressKey } from '../http/client-address.ts';
import { type AccountPageDependencies, handOverAccount, redirectBrowsers } from './account.ts';
import { answerToken, type TokenEndpointDependencies } from './token.ts';

export interface ServiceDependencies extends TokenEndpointDependencies, AccountPageDependencies {
  /** The certificate of the local CA as PEM, if the local CA issued the server's certificate. */
  readonly ca: string | undefined;
}

/** Serves the paths beside the distribution API that say nothing about who asks. */
export function publicRoutes({ ca }: Pick<ServiceDependencies, 'ca'>): Router {
  const router = new Router({ sensitive: true, strict: true });
  router.get('/healthz', (context) => {
    context.body = 'ok\n';
  });
  router.get('/ca.crt', (context) => {
    if (ca === undefined) return;
    context.type = 'application/x-pem-file';
    context.body = ca;
  });
  return router;
}

/** Serves the paths beside the distribution API on the public listener. */
export function serviceRoutes(dependencies: ServiceDependencies): Router {
  const router = publicRoutes(dependencies);
  router.get('/.well-known/jwks.json', async (context) => {
    const client = { share: addressKey(dependencies.addressOf(context.req)), signal: context.req.signal };
    context.body = await dependencies.auth.keysFor(client);
  });
  router.all(/^\/account(?:\/.*)?$/, (context) => handOverAccount(context, dependencies));
  router.get('/', redirectBrowsers);
  router.get('/token', (context) => answerToken(context, dependencies));
  router.post('/token', (context) => answerToken(context, dependencies));
  return router;
}
