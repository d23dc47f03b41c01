import type { Logger } from '../../platform/log.ts';
import type { ReadAccess } from '../../protocol/core-api.ts';
import type { Repository } from '../../registry/repository.ts';
import type { AskDocumentOptions, RegistryClient, RegistryDocument } from '../upstream/registry-client.ts';
import type { Requester } from '../upstream/requester.ts';
import { type UpstreamResult, unavailable } from '../upstream/upstream-result.ts';
import { identityFor, type RepositoryLinks } from './repository-links.ts';

export interface DocumentRequest {
  readonly client: RegistryClient;
  readonly links: RepositoryLinks;
  readonly log: Logger;
}

export interface DocumentQuestion extends Omit<AskDocumentOptions, 'as' | 'requester'> {
  readonly repository: Repository;
  /** The path below the repository. */
  readonly resource: string;
  /** The part of the resource that may be logged. */
  readonly name: string;
  readonly requester: Requester;
  /** Returns why the bytes are not the requested document; undefined if they are. */
  readonly unfit: (bytes: Buffer) => string | undefined;
}

/**
 * Fetches a document. An invalid document counts as an upstream failure: an error page proves nothing, and
 * clients must not get it as JSON.
 */
export async function askDocument(
  { client, links, log }: DocumentRequest,
  { repository, resource, name, requester, unfit, ...ask }: DocumentQuestion,
): Promise<UpstreamResult<RegistryDocument>> {
  const as = identityFor(requester.grant);
  const answer = await client.getDocument(repository, resource, { ...ask, as, requester });
  const why = answer.kind === 'ok' ? unfit(answer.value.bytes) : undefined;
  if (why !== undefined) {
    log.warn(
      { repository: repository.name, resource: name, unfit: why },
      'a document from the upstream is refused',
    );
    return unavailable('unfit', `${repository.name}/${name}: ${why}`);
  }
  await links.learn(repository, as, answer);
  return answer;
}

/**
 * Returns the name under which a document is stored. A document that was read with the account's credential
 * is for private read access only.
 */
export function storedAs(resource: string, grant: ReadAccess): string {
  return grant === 'private' ? `${resource} as account` : resource;
}
