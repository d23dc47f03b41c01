import type { Purged } from '../../protocol/core-api.ts';
import type { Digest } from '../../registry/digest.ts';
import type { Reference } from '../../registry/reference.ts';
import type { RepositoryName } from '../../registry/repository.ts';
import type { IndexStore } from './index-store.ts';
import type { Store } from './store.ts';

/**
 * Removes a repository from the cache, or one tag with its manifest, or one digest. Content is removed with
 * its last link: content that another repository contains too stays for that one. `removeObject` removes it from
 * the object store of a cluster, if there is one.
 */
export async function purge(
  store: Store,
  repository: RepositoryName,
  reference: Reference | undefined,
  removeObject?: (digest: Digest) => Promise<void>,
): Promise<Purged> {
  const { index } = store;
  const purged = { digests: 0, bytes: 0 };
  const unlinked = async (digests: readonly Digest[]) => {
    purged.digests += digests.length;
    for (const digest of digests) purged.bytes += await removeUnlinked(store, digest, removeObject);
  };
  if (reference === undefined) {
    await index.forget(repository, unlinked);
    return purged;
  }
  const digest =
    reference.kind === 'digest' ? reference.digest : (await index.tag(repository, reference.tag))?.digest;
  if (reference.kind === 'tag') await index.removeTag(repository, reference.tag);
  if (digest === undefined || !(await isLinkedIn(index, repository, digest))) return purged;
  await index.removeLink(repository, digest);
  await unlinked([digest]);
  return purged;
}

async function isLinkedIn(index: IndexStore, repository: RepositoryName, digest: Digest): Promise<boolean> {
  const links = await Promise.all(
    (['manifest', 'blob'] as const).map((kind) => index.link(repository, kind, digest)),
  );
  return links.some((link) => link !== undefined);
}

/** Removes content without links, and resolves to the number of removed bytes. */
async function removeUnlinked(
  { index, content }: Store,
  digest: Digest,
  removeObject?: (digest: Digest) => Promise<void>,
): Promise<number> {
  if (await index.isLinked(digest)) return 0;
  const bytes = (await content.peek(digest))?.size ?? 0;
  await content.remove(digest);
  await removeObject?.(digest);
  return bytes;
}
