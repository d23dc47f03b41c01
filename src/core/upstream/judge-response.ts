import type { UpstreamHost } from '../../registry/repository.ts';
import { parseRetryAfter } from './quota.ts';
import { displayedType, isPage, isRefusalOfRegistry, typeOf } from './registry-refusal.ts';
import type { ResourceRequest } from './resource-request.ts';
import { discard, isRedirect } from './transport.ts';
import type { UpstreamResponse } from './upstream-response.ts';
import { denied, ok, type UpstreamResult, unavailable, unavailableByStatus } from './upstream-result.ts';

/** Judges an answer: a success, a denial or a failure. A body that nobody wants is dropped. */
export async function judgeResponse(
  response: UpstreamResponse,
  request: ResourceRequest,
  host: UpstreamHost,
  now: number,
): Promise<UpstreamResult<UpstreamResponse>> {
  const { headers, statusCode: status, redirected } = response;
  if (status === 200 || (request.acceptsRedirect === true && isRedirect(response))) return ok(response);
  if (status === 206 && request.headers?.range !== undefined) return ok(response);
  const ofBlob = request.resource.startsWith('blobs/');
  // A redirect leads to existing content, but a URL that was signed for GET may refuse the HEAD.
  if (redirected && ofBlob && request.method === 'HEAD') return ok(response);
  if (status === 416) return refuse(response, 'unfit', `${host}: the blob ends before the range begins`);
  // A storage that lost an object says nothing about the repository that names it.
  if (redirected && status !== 429 && (ofBlob || status !== 404))
    return refuse(
      response,
      'failed',
      `${host}: the host that it redirects to, ${response.host}, answers ${status}`,
    );
  if (isAbsent(response, request)) {
    discard(response);
    return denied('not-found');
  }
  return refusalOf(response, request, host, parseRetryAfter(headers['retry-after'], now));
}

/** True if the registry says in its own way that there is no such resource. */
function isAbsent(response: UpstreamResponse, { absentBy = [] }: ResourceRequest): boolean {
  const { statusCode, redirected } = response;
  return !redirected && absentBy.includes(statusCode) && !(statusCode === 404 && isPage(response));
}

function refuse(
  response: UpstreamResponse,
  cause: 'unfit' | 'failed',
  detail: string,
): UpstreamResult<never> {
  discard(response);
  return unavailable(cause, detail);
}

async function refusalOf(
  response: UpstreamResponse,
  { method }: ResourceRequest,
  host: string,
  retryAfter: number | undefined,
): Promise<UpstreamResult<never>> {
  const { statusCode: status } = response;
  if (![401, 403, 404].includes(status)) {
    discard(response);
    return unavailableByStatus(status, `${host}: ${status}`, retryAfter);
  }
  if (await isRefusalOfRegistry(response, method)) {
    if (status === 403) return { kind: 'denied', reason: 'unauthorized', isForbidden: true };
    return denied(status === 404 ? 'not-found' : 'unauthorized');
  }
  const what = displayedType(typeOf(response)) ?? 'no valid type';
  return unavailableByStatus(status, `${host}: ${status} with ${what}, which is not how a registry refuses`);
}
