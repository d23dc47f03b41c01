import type { ServerResponse } from 'node:http';
import { formatPage, type Page } from '../../registry/page.ts';
import { familiarName, parseRepositoryName, repositoryOf } from '../../registry/repository.ts';
import { callerLine, type ReceivedRequest } from '../audit/audit-record.ts';
import { shareOf } from '../authentication/request-keys.ts';
import { refuse, respond } from '../http/respond.ts';
import { CATALOG_PAGE } from '../limits.ts';
import { refuseUnauthenticated } from './refuse-access.ts';
import type { V2Dependencies } from './v2-request.ts';

interface CatalogRequest extends ReceivedRequest {
  readonly page: Page;
}

/** The scope that clients request to list repositories. `registry` is docker's own type for it. */
const CATALOG_SCOPE = 'registry:catalog:*';

/** Answers a request for the catalog, and records it. */
export async function answerCatalog(
  response: ServerResponse,
  asked: CatalogRequest,
  dependencies: V2Dependencies,
): Promise<void> {
  const { authentication } = asked;
  if (!dependencies.catalog)
    return refuse(response, { error: 'NAME_UNKNOWN', message: 'the catalog is not served' });
  if (authentication.kind === 'authenticated') await listCatalog(response, asked, dependencies);
  else refuseUnauthenticated(response, authentication, dependencies, CATALOG_SCOPE);
  const decision = authentication.kind === 'authenticated' ? 'allow' : 'deny';
  dependencies.audit({ action: 'catalog', ...callerLine(asked), decision, status: response.statusCode });
}

/** Lists the cached repositories that this client may pull at this moment, and no others. */
async function listCatalog(
  response: ServerResponse,
  { request, authentication, address, page }: CatalogRequest,
  dependencies: V2Dependencies,
): Promise<void> {
  const cached = await dependencies.core.repositories({
    share: shareOf(authentication, address),
    signal: () => request.signal,
  });
  if (cached === undefined)
    return refuse(response, { error: 'NAME_UNKNOWN', message: 'the catalog is not served' });
  // A token for the catalog names no repositories, so only the policy bounds what is listed.
  const who =
    authentication.kind === 'authenticated' ? { ...authentication, repositories: undefined } : authentication;
  const authorize = dependencies.authorizeNow();
  const names = cached.flatMap(({ name, visibility }) => {
    const parsed = parseRepositoryName(name);
    const repository = parsed && repositoryOf(parsed.upstream, parsed.path, dependencies.names);
    if (repository === undefined) return [];
    const decision = authorize(who, { action: 'pull', repository, address });
    const isSeen = decision.kind === 'granted' && (decision.private || visibility === 'public');
    return isSeen ? [familiarName(repository, dependencies.names)] : [];
  });
  const { n = CATALOG_PAGE, last = '' } = page;
  const after = names.sort().filter((name) => name > last);
  const repositories = after.slice(0, n);
  const end = repositories.at(-1);
  const body = Buffer.from(JSON.stringify({ repositories }));
  respond(response, 200, {
    'content-type': 'application/json',
    'content-length': body.length,
    ...(end !== undefined &&
      after.length > n && { link: `</v2/_catalog?${formatPage({ n, last: end })}>; rel="next"` }),
  });
  response.end(body);
}
