import type { Live } from '../../platform/live.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import type { Tag } from '../../registry/reference.ts';
import type { RepositoryName } from '../../registry/repository.ts';

/**
 * The second face of the store: what is known of repositories. It can be lost without losing content, which is then
 * linked again as the upstream confirms it.
 */
export interface IndexStore extends AsyncDisposable {
  /** Did it know of no content when it was opened? Then there may be some all the same. */
  readonly isNew: boolean;

  /** Why writes do not outlive this process; undefined if they do. */
  readonly failure: Error | undefined;
  /** Called when a write failed because of the disk. */
  onFailure: ((error: Error) => void) | undefined;
  /** Writes the changes that could not be written before. Rejects while that is impossible. */
  probe(): Promise<void>;

  /**
   * Counts what was taken back of what could be read here: links, content, a tag that names another manifest, a repository that
   * is public no longer. Who remembers an answer forgets it then.
   */
  readonly withdrawals: Live<number>;

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

  /**
   * The document last stored at `resource` below the repository. Each repository has a bounded number of
   * them. No bytes mean that nothing exists there; that is stored only for a repository about which more is
   * known.
   */
  document(repository: RepositoryName, resource: string): Promise<DocumentEntry | undefined>;
  putDocument(repository: RepositoryName, resource: string, entry: DocumentEntry): Promise<void>;
  removeDocument(repository: RepositoryName, resource: string): Promise<void>;

  /**
   * Takes back everything that was learnt of a repository: its links, its tags, its documents and its visibility. That holds at
   * once. Clearing it all away takes as long as there is much of it; `unlinked` is told meanwhile which digests it had.
   */
  forget(repository: RepositoryName, unlinked?: Unlinked): Promise<void>;
  removeLink(repository: RepositoryName, digest: Digest): Promise<void>;
  isLinked(digest: Digest): Promise<boolean>;
  repositories(): Promise<readonly RepositoryEntry[]>;

  content(digest: Digest): Promise<ContentEntry | undefined>;
  putContent(digest: Digest, entry: ContentEntry): Promise<void>;
  /** Records that content was judged to be a manifest of this type. */
  putManifestType(digest: Digest, mediaType: ManifestMediaType): Promise<void>;
  removeContent(digest: Digest): Promise<void>;
  /** What a manifest names: where it is used, so are they. */
  putChildren(parent: Digest, children: readonly Digest[]): Promise<void>;
  /** Records uses by their times; also of what the used manifests name, and so on downwards. */
  touch(uses: ReadonlyMap<Digest, number>): Promise<void>;
  /** Content that was last used before `before`, the longest unused first, at most `limit` of it. */
  unusedSince(before: number, limit: number): Promise<readonly UnusedContent[]>;
  /** Of the content whose bytes were checked last before `before`, the one for which that is longest ago. */
  uncheckedSince(before: number): Promise<Digest | undefined>;
  putChecked(digest: Digest, at: number): Promise<void>;
  stats(): Promise<IndexStats>;
}

/** Is waited for. Each digest comes once. */
export type Unlinked = (digests: readonly Digest[]) => Promise<void>;

export interface DocumentEntry {
  readonly bytes: Uint8Array;
  /** The `Link` header that came with it. */
  readonly link: string | undefined;
  /** Milliseconds since the epoch. */
  readonly readAt: number;
}

export interface ContentEntry {
  readonly size: number;
  /** Milliseconds since the epoch, both. */
  readonly usedAt: number;
  /** When its bytes were last compared with the digest. */
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
  /** When the upstream last confirmed the visibility, in milliseconds since the epoch. */
  readonly visibilityCheckedAt?: number;
  /** Links. */
  readonly digests: number;
  readonly tags: number;
}

export interface IndexStats {
  /** Manifests and blobs, and their bytes. */
  readonly blobs: number;
  readonly bytes: number;
  readonly repositories: number;
}

export type LinkKind = 'manifest' | 'blob';

export type Link = LinkFacts &
  ({ readonly kind: 'manifest'; readonly mediaType: ManifestMediaType } | { readonly kind: 'blob' });

interface LinkFacts {
  /** True if the upstream has shown it to anonymous. An answer to the service account never revokes that. */
  readonly public?: boolean;
  /** When the upstream was last asked about it, in milliseconds since the epoch. */
  readonly checkedAt?: number;
  /** When the upstream first said that it has deleted the digest, in milliseconds since the epoch. */
  readonly deletedAt?: number;
}

export interface TagEntry {
  readonly digest: Digest;
  readonly mediaType: ManifestMediaType;
  readonly size: number;
  /** When the upstream last said so, in milliseconds since the epoch. */
  readonly checkedAt: number;
  /** True if the upstream gave this answer to anonymous. */
  readonly public?: boolean;
}

export interface VisibilityEntry {
  readonly visibility: 'public' | 'private';
  readonly checkedAt: number;
}
