import type { Purged } from '../../protocol/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Reference } from '../../registry/reference.ts';
import type { RepositoryName } from '../../registry/repository.ts';
import type { IndexStore } from './index-store.ts';
import type { Store } from './store.ts';

/**
 * Removes a repository from the cache, or one tag with its manifest, or one digest. Content is removed with
 * its last link: content that another repository contains too stays for that one. `purgeCluster` removes it
 * from the rest of the cluster, if there is one, and resolves to the number of other nodes.
 */
export async function purge(
  store: Store,
  repository: RepositoryName,
  reference: Reference | undefined,
  purgeCluster?: (digest: Digest) => Promise<number>,
): Promise<Purged> {
  const { index } = store;
  const purged = { digests: 0, bytes: 0 };
  let nodes = 0;
  const result = () => ({ ...purged, ...(purgeCluster && { nodes }) });
  const unlinked = async (digests: readonly Digest[]) => {
    purged.digests += digests.length;
    for (const digest of digests) {
      const removed = await removeUnlinked(store, digest, purgeCluster);
      purged.bytes += removed.bytes;
      nodes = Math.max(nodes, removed.nodes);
    }
  };
  if (reference === undefined) {
    await index.forget(repository, unlinked);
    return result();
  }
  const digest =
    reference.kind === 'digest' ? reference.digest : (await index.tag(repository, reference.tag))?.digest;
  if (reference.kind === 'tag') await index.removeTag(repository, reference.tag);
  if (digest === undefined || !(await isLinkedIn(index, repository, digest))) return result();
  await index.removeLink(repository, digest);
  await unlinked([digest]);
  return result();
}

async function isLinkedIn(index: IndexStore, repository: RepositoryName, digest: Digest): Promise<boolean> {
  const links = await Promise.all(
    (['manifest', 'blob'] as const).map((kind) => index.link(repository, kind, digest)),
  );
  return links.some((link) => link !== undefined);
}

/**
 * Removes content without links. Resolves to the bytes that were removed here, and to the number of other
 * nodes.
 */
async function removeUnlinked(
  { index, content }: Store,
  digest: Digest,
  purgeCluster: (digest: Digest) => Promise<number> = async () => 0,
): Promise<{ readonly bytes: number; readonly nodes: number }> {
  if (await index.isLinkedAnywhere(digest)) return { bytes: 0, nodes: 0 };
  const bytes = (await content.peek(digest))?.size ?? 0;
  await content.remove(digest);
  return { bytes, nodes: await purgeCluster(digest) };
}
