import type { ObservableValue } from '../../platform/observable-value.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import type { Tag } from '../../registry/reference.ts';
import type { RepositoryName } from '../../registry/repository.ts';

/**
 * The second interface of the store: the knowledge about repositories. It can be lost without losing content,
 * which is then linked again as the upstream confirms it.
 */
export interface IndexStore extends AsyncDisposable {
  /** True if the index knew no content when it was opened. The store may have content nevertheless. */
  readonly isNew: boolean;

  /** The reason why writes do not outlive this process; undefined if they do. */
  readonly failure: Error | undefined;
  /** Called when a write failed because of the disk. */
  onFailure: ((error: Error) => void) | undefined;
  /** Writes the changes that could not be written before. Rejects while that is impossible. */
  probe(): Promise<void>;

  /**
   * Counts invalidations: removed links, removed content, a tag that names another manifest, a repository
   * that is no longer public. Everything that caches an answer must then drop it.
   */
  readonly invalidations: ObservableValue<number>;

  /**
   * Resolves to the link from `repository` to `digest`. The upstream has confirmed, under that repository's
   * scope, that it contains the digest. Knowing a digest is not a right, and a link in one repository is not
   * a link in another.
   */
  link(repository: RepositoryName, kind: LinkKind, digest: Digest): Promise<Link | undefined>;
  putLink(repository: RepositoryName, digest: Digest, link: Link): Promise<void>;

  tag(repository: RepositoryName, tag: Tag): Promise<TagEntry | undefined>;
  putTag(repository: RepositoryName, tag: Tag, entry: TagEntry): Promise<void>;
  removeTag(repository: RepositoryName, tag: Tag): Promise<void>;

  visibility(repository: RepositoryName): Promise<VisibilityEntry | undefined>;
  /**
   * Stores that a repository is private only if more is known of it. Otherwise a client that requests
   * invented names would fill the index with them.
   */
  putVisibility(repository: RepositoryName, entry: VisibilityEntry): Promise<void>;

  /**
   * Resolves to the document last stored at `resource` below the repository. Each repository has a bounded
   * number of them. An entry without bytes means that nothing exists there. It is stored only for a
   * repository about which more is known.
   */
  document(repository: RepositoryName, resource: string): Promise<DocumentEntry | undefined>;
  putDocument(repository: RepositoryName, resource: string, entry: DocumentEntry): Promise<void>;
  removeDocument(repository: RepositoryName, resource: string): Promise<void>;

  /**
   * Forgets everything that was learnt of a repository: its links, its tags, its documents and its
   * visibility. That takes effect at once. The removal of the rows takes longer if there are many. Meanwhile
   * `unlinked` is called with the digests that the repository had.
   */
  forget(repository: RepositoryName, unlinked?: Unlinked): Promise<void>;
  removeLink(repository: RepositoryName, digest: Digest): Promise<void>;
  isLinkedAnywhere(digest: Digest): Promise<boolean>;
  repositories(): Promise<readonly RepositoryEntry[]>;

  content(digest: Digest): Promise<ContentEntry | undefined>;
  putContent(digest: Digest, entry: ContentEntry): Promise<void>;
  /** Records that content was judged to be a manifest of this type. */
  putManifestType(digest: Digest, mediaType: ManifestMediaType): Promise<void>;
  removeContent(digest: Digest): Promise<void>;
  /** Stores which digests a manifest names. A use of the manifest counts as a use of them. */
  putChildren(parent: Digest, children: readonly Digest[]): Promise<void>;
  /**
   * Records uses by their times. They also count for the digests that the used manifests name, and so on
   * downwards. `onUsed` is called with each of them, whether its content is here or not.
   */
  touch(uses: ReadonlyMap<Digest, number>, onUsed?: (digest: Digest) => void): Promise<void>;
  /**
   * Resolves to content that was last used before `before`: the longest unused first, and at most `limit` of
   * it.
   */
  unusedSince(before: number, limit: number): Promise<readonly UnusedContent[]>;
  /** Resolves to the content whose last check is longest ago, if it was checked before `before`. */
  uncheckedSince(before: number): Promise<Digest | undefined>;
  putChecked(digest: Digest, at: number): Promise<void>;
  stats(): Promise<IndexStats>;
}

/** The index waits for the returned promise. Each digest comes once. */
export type Unlinked = (digests: readonly Digest[]) => Promise<void>;

export interface DocumentEntry {
  readonly bytes: Uint8Array;
  /** The `Link` header of the document. */
  readonly linkHeader: string | undefined;
  /** The time in milliseconds since the epoch. */
  readonly readAt: number;
}

export interface ContentEntry {
  readonly size: number;
  /** Both are in milliseconds since the epoch. */
  readonly usedAt: number;
  /** The time when its bytes were last compared with the digest. */
  readonly checkedAt: number;
  /** The type of manifest that the bytes were judged to be; undefined until they are judged. */
  readonly manifestType?: ManifestMediaType;
}

export interface UnusedContent {
  readonly digest: Digest;
  readonly size: number;
}

export interface RepositoryEntry {
  readonly name: RepositoryName;
  readonly visibility: 'public' | 'private' | undefined;
  /** The time when the upstream last confirmed the visibility, in milliseconds since the epoch. */
  readonly visibilityCheckedAt?: number;
  /** The number of links. */
  readonly digests: number;
  readonly tags: number;
}

export interface IndexStats {
  /** The number of manifests and blobs, and their bytes. */
  readonly blobs: number;
  readonly bytes: number;
  readonly repositories: number;
}

export type LinkKind = 'manifest' | 'blob';

export type Link = LinkFacts &
  ({ readonly kind: 'manifest'; readonly mediaType: ManifestMediaType } | { readonly kind: 'blob' });

interface LinkFacts {
  /**
   * True if the upstream has confirmed it to anonymous. An answer to an account never revokes that.
   */
  readonly public?: boolean;
  /** The time when the upstream was last asked about it, in milliseconds since the epoch. */
  readonly checkedAt?: number;
  /**
   * The time when the upstream first said that it has deleted the digest, in milliseconds since the epoch.
   */
  readonly deletedAt?: number;
}

export interface TagEntry {
  readonly digest: Digest;
  readonly mediaType: ManifestMediaType;
  readonly size: number;
  /** The time when the upstream last confirmed the tag, in milliseconds since the epoch. */
  readonly checkedAt: number;
  /** True if the upstream gave this answer to anonymous. */
  readonly public?: boolean;
}

export interface VisibilityEntry {
  readonly visibility: 'public' | 'private';
  readonly checkedAt: number;
}
