import type { Purged } from '../../registry/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Reference } from '../../registry/reference.ts';
import type { RepositoryName } from '../../registry/repository.ts';
import type { Store } from './store.ts';

/**
 * Takes a repository from the cache, or one tag with its manifest, or one digest. Content goes with its last link: what
 * another repository contains too stays for that one.
 */
export async function purge(
  { index, content }: Store,
  repository: RepositoryName,
  reference: Reference | undefined,
): Promise<Purged> {
  const digests = await digestsOf(index, repository, reference);
  if (reference === undefined) await index.forget(repository);
  if (reference?.kind === 'tag') await index.removeTag(repository, reference.tag);
  let bytes = 0;
  for (const digest of digests) {
    await index.removeLink(repository, digest);
    if (await index.isLinked(digest)) continue;
    bytes += (await content.peek(digest))?.size ?? 0;
    await content.remove(digest);
  }
  return { digests: digests.length, bytes };
}

async function digestsOf(
  index: Store['index'],
  repository: RepositoryName,
  reference: Reference | undefined,
): Promise<readonly Digest[]> {
  const linked = await index.links(repository);
  if (reference === undefined) return linked;
  const digest =
    reference.kind === 'digest' ? reference.digest : (await index.tag(repository, reference.tag))?.digest;
  return linked.filter((one) => one === digest);
}
