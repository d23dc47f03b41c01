import type { IncomingMessage, ServerResponse } from 'node:http';
import { formatSubject } from '../../access/subject.ts';
import { PeerUnreachable } from '../../platform/ipc/http-client.ts';
import { ERRORS } from '../../registry/error.ts';
import { familiarName } from '../../registry/repository.ts';
import { type ReceivedWrite, type WriteResult, writtenLine } from '../audit/write-record.ts';
import { subjectKeyOf } from '../authentication/request-keys.ts';
import type { AccessDecision } from '../authorization/authorize.ts';
import type { HostedAnswer, HostedWrite } from '../clients/hosted-client.ts';
import { endEarly } from '../http/early-refusal.ts';
import { hasBody } from '../http/framing.ts';
import { refuseUnread, respond } from '../http/respond.ts';
import { type WriteTarget, writtenResource, writtenTags } from './push-request.ts';
import { recheckAccess } from './recheck-access.ts';
import { accessRefusal } from './refuse-access.ts';
import { refuseUnreadBody } from './refuse-unread-body.ts';
import type { V2Dependencies, V2Step } from './v2-request.ts';

/** Returns the steps of a request that writes to a hosted repository. Every other request passes them. */
export function pushSteps(dependencies: V2Dependencies): readonly V2Step[] {
  return [recordWrite(dependencies), authorizeWrite(dependencies), forwardToCore(dependencies)];
}

/** Records a write when the steps after this one have answered it. */
function recordWrite({ audit }: V2Dependencies): V2Step {
  return async ({ req, state }, next) => {
    const { target } = state;
    if (target.kind !== 'write') return next();
    const { authentication, address, started } = state;
    state.write = { request: req, authentication, address, started, target: target.write };
    await next();
    const line = writtenLine(state.write, state.decision, state.written);
    if (line !== undefined) audit(line);
  };
}

/** Decides a write before anything is looked up, and before anything of its body is read. */
function authorizeWrite(dependencies: V2Dependencies): V2Step {
  return (context, next) => {
    const { state } = context;
    const { target } = state;
    if (target.kind !== 'write') return next();
    const decision = decideWrite(state.write, dependencies);
    state.decision = decision;
    if (decision.kind === 'granted') return next();
    const message = REFUSED[target.write.action];
    refuseUnreadBody(context, { message, ...accessRefusal(state.authentication, decision, dependencies) });
    state.written = { status: ERRORS[decision.error].status };
    return;
  };
}

/**
 * The message of a refusal without a reason of its own. docker treats the standard message of a code as no
 * message, and then sends a refused push five times.
 */
const REFUSED = {
  push: 'you may not push to this repository',
  delete: 'you may not delete from this repository',
} as const;

/** Decides about the repository and every tag that is written. Each of them can be refused. */
function decideWrite(
  { authentication, address, target }: ReceivedWrite,
  { authorizeNow }: V2Dependencies,
): AccessDecision {
  const { action, route } = target;
  const { repository } = route;
  const authorize = authorizeNow();
  // A manifest is deleted with its tags, whichever these are.
  const everyTag = action === 'delete' && route.kind === 'manifest' && route.reference.kind === 'digest';
  let decision = authorize(authentication, { action, repository, address, everyTag });
  for (const tag of writtenTags(target)) {
    if (decision.kind === 'refused') break;
    decision = authorize(authentication, { action, repository, address, tag });
  }
  return decision;
}

/** Sends the request to the core, and its answer to the client. */
function forwardToCore(dependencies: V2Dependencies): V2Step {
  return async (context, next) => {
    const { req, res, state } = context;
    const { target, write, authentication } = state;
    const { sendWrite } = dependencies;
    if (target.kind !== 'write' || sendWrite === undefined) return next();
    // The bytes bypass Koa: they come from the core, and a request that breaks off ends the connection. Koa
    // would append an answer of its own.
    context.respond = false;
    using rights = recheckAccess(req, authentication, {
      credentials: dependencies.credentials,
      isAllowed: () => decideWrite(write, dependencies).kind === 'granted',
    });
    // A client that waits for permission to send has not been refused until now.
    if (hasBody(req) && req.headers.expect !== undefined) res.writeContinue();
    try {
      const answer = await sendWrite(hostedWrite(write, rights.signal, dependencies));
      state.written = sendAnswer(req, res, target.write, answer, dependencies);
    } catch (error) {
      state.written = answerFailure(req, res, error, rights.signal, dependencies);
    }
  };
}

function hostedWrite(write: ReceivedWrite, signal: AbortSignal, dependencies: V2Dependencies): HostedWrite {
  const { request, authentication, target } = write;
  return {
    method: target.method,
    repository: target.route.repository,
    resource: writtenResource(target),
    subjectKey: subjectKeyOf(write),
    caller: dependencies.callerOf(write),
    subject: authentication.kind === 'authenticated' ? formatSubject(authentication.subject) : '',
    credential: authentication.kind === 'authenticated' ? authentication.credential : '',
    from: readableSource(write, dependencies),
    request,
    hasBody: hasBody(request),
    signal,
  };
}

/**
 * Returns the repository from which a blob can be mounted, if the caller may pull it. Otherwise the caller
 * has to upload the blob, as if the repository did not have it. Clients ask for a token for the target alone,
 * so the scope of the token does not decide here; the policy and the restriction of the credential do.
 */
function readableSource(
  { authentication, address, target: { route } }: ReceivedWrite,
  { authorizeNow }: V2Dependencies,
): HostedWrite['from'] {
  if (route.kind !== 'uploads' || route.mount === undefined || route.from === undefined) return undefined;
  const who =
    authentication.kind === 'authenticated' ? { ...authentication, repositories: undefined } : authentication;
  const decision = authorizeNow()(who, { action: 'pull', repository: route.from, address });
  if (decision.kind === 'refused') return undefined;
  return { repository: route.from, grant: decision.private ? 'private' : 'public' };
}

/** Sends the answer of the core. It can come before the end of the body. */
function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  { route: { repository } }: WriteTarget,
  { status, headers, body, location, previous, push, size, error }: HostedAnswer,
  { names }: V2Dependencies,
): WriteResult {
  const prefix = `/v2/${familiarName(repository, names)}/`;
  if (!request.complete) response.setHeader('connection', 'close');
  respond(response, status, {
    ...headers,
    ...(location !== undefined && { location: `${prefix}${location}` }),
    ...(status !== 204 && { 'content-length': body.length }),
  });
  if (body.length > 0) response.write(body);
  endEarly(request, response);
  const digest = headers['docker-content-digest'];
  return {
    status,
    ...(digest !== undefined && { digest }),
    ...(headers['docker-upload-uuid'] !== undefined && { upload: headers['docker-upload-uuid'] }),
    ...(previous !== undefined && { previous }),
    ...(push !== undefined && { push }),
    ...(size !== undefined && { size }),
    ...(error !== undefined && { error }),
  };
}

/** Answers a request whose answer did not come. */
function answerFailure(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  revoked: AbortSignal,
  { log }: V2Dependencies,
): WriteResult {
  const { status } = ERRORS.UNAVAILABLE;
  if (request.signal.aborted) return { status };
  if (revoked.aborted) {
    refuseUnread(request, response, { error: 'DENIED', message: WITHDRAWN });
    return { status: ERRORS.DENIED.status };
  }
  if (!(error instanceof PeerUnreachable)) throw error;
  log.error({ reason: error.message }, 'the core does not answer');
  refuseUnread(request, response, { error: 'UNAVAILABLE', retryAfter: 1 });
  return { status };
}

const WITHDRAWN = 'the right to push was withdrawn during this upload';
