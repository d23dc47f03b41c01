import { isHosted } from '../../registry/repository.ts';
import { parseTarget, type Route } from '../../registry/route.ts';
import { shareOf } from '../authentication/request-keys.ts';
import { refuse, respond } from '../http/respond.ts';
import { answerCatalog } from './catalog.ts';
import { answerPing } from './ping.ts';
import { authorizePull, deliverAnswer, fetchFromCore, recordPull } from './pull.ts';
import { pushSteps } from './push.ts';
import { methodsOf, writeTarget } from './push-request.ts';
import { refuseUnreadBody } from './refuse-unread-body.ts';
import type { ReadTarget, V2Dependencies, V2Step, V2Target } from './v2-request.ts';

/** Returns the steps of every request of the distribution API, from its raw target to its audit line. */
export function v2Steps(dependencies: V2Dependencies): readonly V2Step[] {
  return [
    answerOptions(dependencies),
    parseRoute(dependencies),
    authenticate(dependencies),
    limitInFlight(dependencies),
    refuseMirroredWrite(dependencies),
    ...(dependencies.sendWrite === undefined ? [] : pushSteps(dependencies)),
    answerPingOrCatalog(dependencies),
    recordPull(dependencies),
    authorizePull(dependencies),
    fetchFromCore(dependencies),
    deliverAnswer(dependencies),
  ];
}

/** Answers with the methods that are served (RFC 9110 §9.3.7). The answer is the same for every target. */
function answerOptions({ sendWrite }: V2Dependencies): V2Step {
  const allow =
    sendWrite === undefined ? 'GET, HEAD, OPTIONS' : 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';
  return ({ req, res }, next) => {
    if (req.method !== 'OPTIONS') return next();
    respond(res, 204, { allow });
    return void res.end();
  };
}

function parseRoute({ addressOf, names, sendWrite }: V2Dependencies): V2Step {
  return ({ req, res, state }, next) => {
    state.started = performance.now();
    state.address = addressOf(req);
    const { method } = req;
    const parsed = parseTarget(req.url ?? '', names);
    if ('refusal' in parsed) return refuse(res, { error: parsed.refusal });
    const { route } = parsed;
    const takesWrites = sendWrite !== undefined;
    const target = targetOf(route, method, takesWrites);
    if (target === undefined)
      return refuse(res, {
        error: 'UNSUPPORTED',
        headers: { allow: allowedMethods(route) },
        ...(takesWrites && { message: unsupported(route) }),
      });
    state.target = target;
    return next();
  };
}

/** Returns undefined if the route does not have the method. */
function targetOf(route: Route, method: string | undefined, takesWrites: boolean): V2Target | undefined {
  const write = takesWrites ? writeTarget(route, method) : undefined;
  if (write !== undefined) return { kind: 'write', write };
  if (takesWrites && writesToMirrored(route, method)) return { kind: 'mirrored-write' };
  return isUpload(route) || (method !== 'GET' && method !== 'HEAD')
    ? undefined
    : { kind: 'read', method, route };
}

/** Returns the message of a 405 if something is hosted, because a push to another name can then succeed. */
function unsupported(route: Route): string {
  return 'repository' in route && isHosted(route.repository)
    ? 'no part of a hosted repository supports this method here'
    : servesPullsOnly();
}

/** Names the namespaces that the caller may push to. It names no other namespace. */
function servesPullsOnly(own: readonly string[] = []): string {
  const where = own.length === 0 ? 'a name that is hosted here' : own.join(', ');
  return `this name is mirrored, and serves pulls only; push to its own registry, or to ${where}`;
}

const WRITING: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

/** True for a push to a mirrored repository, and for a delete in one. */
function writesToMirrored(route: Route, method = ''): boolean {
  if (!WRITING.has(method)) return false;
  return route.kind === 'mirrored-upload' || ('repository' in route && !isHosted(route.repository));
}

/**
 * Says that nobody pushes to a mirrored repository, and where the caller may push. Nothing is looked up for
 * it.
 */
function refuseMirroredWrite({ pushableNamespaces }: V2Dependencies): V2Step {
  return (context, next) => {
    const { state } = context;
    if (state.target.kind !== 'mirrored-write') return next();
    const own = pushableNamespaces(state.authentication, state.address);
    refuseUnreadBody(context, {
      error: 'UNSUPPORTED',
      message: servesPullsOnly(own),
      headers: { allow: 'GET, HEAD' },
    });
    return;
  };
}

function allowedMethods(route: Route): string {
  return 'repository' in route && isHosted(route.repository) ? methodsOf(route) : 'GET, HEAD';
}

function isUpload(route: Route): route is Exclude<Route, ReadTarget['route']> {
  return route.kind === 'uploads' || route.kind === 'upload' || route.kind === 'mirrored-upload';
}

function authenticate(dependencies: V2Dependencies): V2Step {
  return async ({ req, state }, next) => {
    const { target } = state;
    // Docker and podman send a login only if the ping asks for one, so a certificate does not answer a ping.
    const ignoreCertificate = target.kind === 'read' && target.route.kind === 'ping';
    state.authentication = await dependencies.authenticate(req, { ignoreCertificate });
    return next();
  };
}

/** Bounds the requests in flight of one known subject. */
function limitInFlight({ subjects }: V2Dependencies): V2Step {
  return ({ res, state: { authentication, address } }, next) => {
    if (authentication.kind === 'authenticated' && !subjects.enter(shareOf(authentication, address), res))
      return refuse(res, { error: 'TOO_MANY_REQUESTS', retryAfter: 1 });
    return next();
  };
}

/**
 * Answers the requests that are about no repository. Every other request is a pull, and becomes `state.pull`.
 */
function answerPingOrCatalog(dependencies: V2Dependencies): V2Step {
  return (context, next) => {
    const { req: request, res, state } = context;
    const { target, authentication, address, started } = state;
    if (target.kind !== 'read') throw new Error('a write was answered by no step');
    const { route, method } = target;
    if (route.kind === 'ping') {
      // The answer is complete, so Koa need not look for one.
      context.respond = false;
      return answerPing(res, authentication, dependencies);
    }
    const received = { request, authentication, address, started };
    if (route.kind === 'catalog') return answerCatalog(res, { ...received, page: route.page }, dependencies);
    state.pull = { ...received, route, method, accountings: [] };
    return next();
  };
}
