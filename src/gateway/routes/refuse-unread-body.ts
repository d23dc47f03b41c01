import type { Context } from 'koa';
import { type RefusedResponse, refuseUnread } from '../http/respond.ts';

/**
 * Refuses a request whose body nobody reads. The bytes bypass Koa, because the response ends only when the
 * rest of the body has come or is given up, and Koa would end it at once.
 */
export function refuseUnreadBody(
  context: Pick<Context, 'req' | 'res' | 'respond'>,
  refused: RefusedResponse,
): void {
  context.respond = false;
  refuseUnread(context.req, context.res, refused);
}
