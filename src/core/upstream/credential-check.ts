import type { Clock } from '../../platform/clock.ts';
import type { Deadline } from '../../platform/scheduling/deadline.ts';
import { grantedActions } from '../../protocol/unverified-token.ts';
import { DOCKER_HUB, isRepositoryPath } from '../../registry/repository.ts';
import { pullScope } from '../../registry/scope.ts';
import { nameThere, prefixThere, resourceUrl } from './api-url.ts';
import type { Authorization } from './authorization.ts';
import { parseQuota, type Quota } from './quota.ts';
import { discard, type UpstreamRequest } from './transport.ts';
import type { UpstreamOptions } from './upstream.ts';
import type { UpstreamResponse } from './upstream-response.ts';
import type { UpstreamResult } from './upstream-result.ts';

/**
 * The repository that Docker names for reading the quota, see
 * https://docs.docker.com/docker-hub/usage/pulls/.
 */
const QUOTA_REPOSITORY = 'ratelimitpreview/test';

/**
 * Asks for the quota in Docker's own way: a HEAD of this manifest does not count as a pull. Resolves to
 * undefined if the answer does not tell.
 */
export async function checkCredential(
  upstream: UpstreamOptions,
  send: (request: UpstreamRequest, scope: string) => Promise<UpstreamResult<UpstreamResponse>>,
  deadline: Deadline,
  clock: Clock,
): Promise<Quota | undefined> {
  if (upstream.host !== DOCKER_HUB) return undefined;
  const url = resourceUrl(upstream.url, QUOTA_REPOSITORY, 'manifests/latest');
  const request: UpstreamRequest = { method: 'HEAD', url, upstream, signal: deadline.signal };
  const answer = await send(request, pullScope(nameThere(upstream.url, QUOTA_REPOSITORY)));
  if (answer.kind !== 'ok') return undefined;
  discard(answer.value);
  return parseQuota(answer.value.headers, clock());
}

/**
 * Resolves to true if the token service would grant a push. The token is not used: it only shows what it
 * would allow. Resolves to null if that is unknown.
 */
export async function mayPush(
  { credential, url }: UpstreamOptions,
  authorization: Authorization,
  deadline: Deadline,
): Promise<boolean | null> {
  const owner =
    prefixThere(url) || (credential !== undefined && 'username' in credential && credential.username);
  const repository = `${owner || ''}/hubgate-doctor`;
  if (!isRepositoryPath(repository)) return null;
  const asked = authorization.header({ scope: `repository:${repository}:pull,push`, as: 'account' });
  const answer = await deadline.bound(asked).catch(() => undefined);
  if (answer?.kind !== 'ok') return null;
  const actions = grantedActions(answer.value.value?.replace(/^Bearer /, '') ?? '', repository);
  return actions.length === 0 ? null : actions.some((action) => action !== 'pull');
}
