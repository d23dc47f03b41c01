import { parseTarget, type Route } from '../../registry/route.ts';
import { shareOf } from '../audit/audit-record.ts';
import { refuse, respond } from '../http/respond.ts';
import { answerCatalog } from './catalog.ts';
import { answerPing } from './ping.ts';
import { authorize, deliverAnswer, fetchFromCore, recordPull } from './pull.ts';
import type { V2Dependencies, V2State, V2Step } from './v2-request.ts';

/** Returns the steps of every request of the distribution API, from its raw target to its audit line. */
export function v2Steps(dependencies: V2Dependencies): readonly V2Step[] {
  return [
    answerOptions,
    parseRoute(dependencies),
    authenticate(dependencies),
    limitInFlight(dependencies),
    answerPingOrCatalog(dependencies),
    recordPull(dependencies),
    authorize(dependencies),
    fetchFromCore(dependencies),
    deliverAnswer(dependencies),
  ];
}

/** Answers with the methods that are served (RFC 9110 §9.3.7). The answer is the same for every target. */
const answerOptions: V2Step = ({ req, res }, next) => {
  if (req.method !== 'OPTIONS') return next();
  respond(res, 204, { allow: 'GET, HEAD, OPTIONS' });
  return void res.end();
};

function parseRoute({ addressOf, names }: V2Dependencies): V2Step {
  return ({ req, res, state }, next) => {
    state.started = performance.now();
    state.address = addressOf(req);
    const { method } = req;
    const parsed = parseTarget(req.url ?? '', names);
    if ('refusal' in parsed) return refuse(res, { error: parsed.refusal });
    const { route } = parsed;
    if (isUpload(route) || (method !== 'GET' && method !== 'HEAD'))
      return refuse(res, { error: 'UNSUPPORTED', headers: { allow: 'GET, HEAD' } });
    state.route = route;
    state.method = method;
    return next();
  };
}

function isUpload(route: Route): route is Exclude<Route, V2State['route']> {
  return route.kind === 'uploads' || route.kind === 'upload' || route.kind === 'mirrored-upload';
}

function authenticate(dependencies: V2Dependencies): V2Step {
  return async ({ req, state }, next) => {
    const { route } = state;
    state.admission = await dependencies.authenticate(req, { ignoreCertificate: route.kind === 'ping' });
    return next();
  };
}

/** Bounds the requests in flight of one known subject. */
function limitInFlight({ subjects }: V2Dependencies): V2Step {
  return ({ res, state: { admission, address } }, next) => {
    if (admission.kind === 'admitted' && !subjects.enter(shareOf(admission, address), res))
      return refuse(res, { error: 'TOO_MANY_REQUESTS', retryAfter: 1 });
    return next();
  };
}

/** Answers the requests that are about no repository. Every other request is a pull. */
function answerPingOrCatalog(dependencies: V2Dependencies): V2Step {
  return ({ req: request, res, state }, next) => {
    const { route, method, admission, address, started } = state;
    if (route.kind === 'ping') return answerPing(res, admission, dependencies);
    const received = { request, admission, address, started };
    if (route.kind === 'catalog') return answerCatalog(res, { ...received, page: route.page }, dependencies);
    state.pull = { ...received, route, method, accountings: [] };
    return next();
  };
}
