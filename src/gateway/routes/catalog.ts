import type { ServerResponse } from 'node:http';
import { formatPage, type Page } from '../../registry/page.ts';
import { familiarName, resolveRepository, type UpstreamNames } from '../../registry/repository.ts';
import { type ReceivedRequest, shareOf } from '../audit/audit-record.ts';
import type { AuthorizeNow } from '../authorization/authorize.ts';
import type { CoreClient } from '../clients/core-client.ts';
import { refuse, respond } from '../http/respond.ts';

export interface CatalogDependencies {
  readonly names: UpstreamNames;
  readonly authorizeNow: AuthorizeNow;
  readonly core: CoreClient;
}

export interface CatalogRequest extends ReceivedRequest {
  readonly page: Page;
}

/** The number of entries of a page if the client does not choose one. */
const PAGE = 100;

/** Lists the cached repositories that this client may pull at this moment, and no others. */
export async function answerCatalog(
  response: ServerResponse,
  { request, admission, address, page }: CatalogRequest,
  dependencies: CatalogDependencies,
): Promise<void> {
  const { signal } = request;
  const cached = await dependencies.core.repositories({ share: shareOf(admission, address), signal });
  if (cached === undefined)
    return refuse(response, { error: 'NAME_UNKNOWN', message: 'the catalog is not served' });
  // A token for the catalog names no repositories, so only the policy bounds what is listed.
  const who = admission.kind === 'admitted' ? { ...admission, repositories: undefined } : admission;
  const permit = dependencies.authorizeNow();
  const names = cached.flatMap(({ name, visibility }) => {
    const repository = resolveRepository(name, [], dependencies.names);
    if (repository === undefined) return [];
    const permission = permit(who, { repository, address });
    const isSeen = permission.kind === 'granted' && (permission.private || visibility === 'public');
    return isSeen ? [familiarName(repository)] : [];
  });
  const { n = PAGE, last = '' } = page;
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
