import Router from '@koa/router';
import { addressKey } from '../http/client-address.ts';
import { answerToken, type TokenRooms } from './token.ts';

export interface ServiceRooms extends TokenRooms {
  /** The certificate of the local CA as PEM, if the local CA issued the server's certificate. */
  readonly ca: string | undefined;
}

/** Serves the paths beside the distribution API that say nothing about who asks. */
export function publicRoutes({ ca }: Pick<ServiceRooms, 'ca'>): Router {
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
export function serviceRoutes(rooms: ServiceRooms): Router {
  const router = publicRoutes(rooms);
  router.get('/.well-known/jwks.json', async (context) => {
    const client = { caller: addressKey(rooms.addressOf(context.req)), signal: context.req.signal };
    context.body = await rooms.auth.keysFor(client);
  });
  router.get('/token', (context) => answerToken(context, rooms));
  router.post('/token', (context) => answerToken(context, rooms));
  return router;
}
