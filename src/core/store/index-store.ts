import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import type { Tag } from '../../registry/reference.ts';
import type { RepositoryName } from '../../registry/repository.ts';

/**
 * The second face of the store: what is known of repositories. It can be lost without losing content, which is then
 * linked again as the upstream confirms it.
 */
export interface IndexStore extends AsyncDisposable {
  /**
   * The link from `repository` to `digest`: the upstream confirmed, under that repository's scope, that it contains
   * the digest. Knowing a digest is not a right, and a link in one repository is none in another.
   */
  link(repository: RepositoryName, kind: LinkKind, digest: Digest): Promise<Link | undefined>;
  putLink(repository: RepositoryName, digest: Digest, link: Link): Promise<void>;

  tag(repository: RepositoryName, tag: Tag): Promise<TagEntry | undefined>;
  putTag(repository: RepositoryName, tag: Tag, entry: TagEntry): Promise<void>;
  removeTag(repository: RepositoryName, tag: Tag): Promise<void>;

  visibility(repository: RepositoryName): Promise<VisibilityEntry | undefined>;
  /**
   * That a repository is private is kept only where more is known of it: otherwise whoever asks for names that nobody
   * has would fill the index with them.
   */
  putVisibility(repository: RepositoryName, entry: VisibilityEntry): Promise<void>;

  /** Takes back everything that was learnt of a repository: its links, its tags and its visibility. */
  forget(repository: RepositoryName): Promise<void>;
}

export type LinkKind = 'manifest' | 'blob';

export type Link =
  | { readonly kind: 'manifest'; readonly mediaType: ManifestMediaType }
  | { readonly kind: 'blob' };

export interface TagEntry {
  readonly digest: Digest;
  readonly mediaType: ManifestMediaType;
  readonly size: number;
  /** When the upstream last said so, in milliseconds since the epoch. */
  readonly checkedAt: number;
}

export interface VisibilityEntry {
  readonly visibility: 'public' | 'private';
  readonly checkedAt: number;
}
