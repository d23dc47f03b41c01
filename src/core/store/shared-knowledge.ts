/** The statements on the knowledge about repositories that the nodes of a cluster share. */
import type { PostgresQueries, PostgresValue } from '../../platform/postgres.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import type { Tag } from '../../registry/reference.ts';
import type { RepositoryName } from '../../registry/repository.ts';
import type {
  DocumentEntry,
  Link,
  LinkKind,
  RepositoryEntry,
  TagEntry,
  VisibilityEntry,
} from './index-store.ts';
import { DOCUMENTS_KEPT } from './sqlite-index.ts';

interface LinkRow {
  readonly media_type: ManifestMediaType | null;
  readonly public: boolean;
  readonly checked_at: number | null;
  readonly deleted_at: number | null;
}

interface TagRow {
  readonly digest: Digest;
  readonly media_type: ManifestMediaType;
  readonly size: number;
  readonly checked_at: number;
  readonly public: boolean;
}

interface RepositoryRow {
  readonly name: RepositoryName;
  readonly visibility: 'public' | 'private' | null;
  readonly visibility_checked_at: number;
  readonly links: number;
  readonly tags: number;
}

const ID = '(SELECT id FROM hubgate.repository WHERE name = $1)';
const ADD = 'INSERT INTO hubgate.repository (name) VALUES ($1) ON CONFLICT DO NOTHING';
/** The repositories that are read at once. */
const BATCH = 500;
/** The times that an insertion is tried while others forget its repository. */
const ATTEMPTS = 3;

export class SharedKnowledge {
  readonly #database: PostgresQueries;

  constructor(database: PostgresQueries) {
    this.#database = database;
  }

  async link(repository: RepositoryName, kind: LinkKind, digest: Digest): Promise<Link | undefined> {
    const [row] = await this.#database.rows<LinkRow>(
      `SELECT media_type, public, checked_at, deleted_at FROM hubgate.link
        WHERE repository = ${ID} AND kind = $2 AND digest = $3`,
      [repository, kind, digest],
    );
    if (row === undefined) return undefined;
    const facts = {
      ...(row.public && { public: true }),
      ...(row.checked_at !== null && { checkedAt: row.checked_at }),
      ...(row.deleted_at !== null && { deletedAt: row.deleted_at }),
    };
    if (kind === 'blob') return { kind, ...facts };
    return row.media_type === null ? undefined : { kind, mediaType: row.media_type, ...facts };
  }

  /** Stores a link. A public link stays public, even if the account is asked next. */
  async putLink(repository: RepositoryName, digest: Digest, link: Link): Promise<boolean> {
    const mediaType = link.kind === 'manifest' ? link.mediaType : null;
    const { checkedAt = null, deletedAt = null } = link;
    return this.#insert(
      repository,
      `INSERT INTO hubgate.link AS l (repository, kind, digest, media_type, public, checked_at, deleted_at)
        SELECT id, $2, $3, $4, $5, $6, $7 FROM hubgate.repository WHERE name = $1 FOR KEY SHARE
        ON CONFLICT (repository, kind, digest) DO UPDATE SET media_type = excluded.media_type,
          public = l.public OR excluded.public, checked_at = excluded.checked_at, deleted_at = excluded.deleted_at`,
      [link.kind, digest, mediaType, link.public === true, checkedAt, deletedAt],
    );
  }

  async tag(repository: RepositoryName, tag: Tag): Promise<TagEntry | undefined> {
    const [row] = await this.#database.rows<TagRow>(
      `SELECT digest, media_type, size, checked_at, public FROM hubgate.tag WHERE repository = ${ID} AND name = $2`,
      [repository, tag],
    );
    if (row === undefined) return undefined;
    const { digest, media_type: mediaType, size, checked_at: checkedAt } = row;
    return { digest, mediaType, size, checkedAt, ...(row.public && { public: true }) };
  }

  /**
   * Stores an answer about a tag. An older one than is stored is dropped, because another node has asked
   * later. Returns false then.
   */
  async putTag(repository: RepositoryName, tag: Tag, entry: TagEntry): Promise<boolean> {
    const { digest, mediaType, size, checkedAt } = entry;
    return this.#insert(
      repository,
      `INSERT INTO hubgate.tag AS t (repository, name, digest, media_type, size, checked_at, public)
        SELECT id, $2, $3, $4, $5, $6, $7 FROM hubgate.repository WHERE name = $1 FOR KEY SHARE
        ON CONFLICT (repository, name) DO UPDATE SET digest = excluded.digest, media_type = excluded.media_type,
          size = excluded.size, checked_at = excluded.checked_at, public = excluded.public
        WHERE t.checked_at <= excluded.checked_at`,
      [tag, digest, mediaType, size, checkedAt, entry.public === true],
    );
  }

  async removeTag(repository: RepositoryName, tag: Tag): Promise<boolean> {
    const sql = `DELETE FROM hubgate.tag WHERE repository = ${ID} AND name = $2`;
    return (await this.#database.change(sql, [repository, tag])) > 0;
  }

  async visibility(repository: RepositoryName): Promise<VisibilityEntry | undefined> {
    const [row] = await this.#database.rows<VisibilityEntry>(
      `SELECT visibility, visibility_checked_at AS "checkedAt" FROM hubgate.repository
        WHERE name = $1 AND visibility IS NOT NULL`,
      [repository],
    );
    return row;
  }

  /**
   * Stores a visibility. Returns false if another node has learnt later that the repository is private, so
   * that an answer that was slow makes nothing public.
   */
  async putVisibility(
    repository: RepositoryName,
    { visibility, checkedAt }: VisibilityEntry,
  ): Promise<boolean> {
    if (visibility === 'public') await this.#database.change(ADD, [repository]);
    const changed = await this.#database.change(
      `UPDATE hubgate.repository SET visibility = $2, visibility_checked_at = $3 WHERE name = $1
        AND ($2 = 'private' OR visibility IS DISTINCT FROM 'private' OR visibility_checked_at <= $3)`,
      [repository, visibility, checkedAt],
    );
    return changed > 0;
  }

  async document(repository: RepositoryName, resource: string): Promise<DocumentEntry | undefined> {
    const [row] = await this.#database.rows<
      Omit<DocumentEntry, 'linkHeader'> & { readonly linkHeader: string | null }
    >(
      `SELECT bytes, link AS "linkHeader", read_at AS "readAt" FROM hubgate.document WHERE repository = ${ID} AND resource = $2`,
      [repository, resource],
    );
    return row && { ...row, linkHeader: row.linkHeader ?? undefined };
  }

  async putDocument(repository: RepositoryName, resource: string, entry: DocumentEntry): Promise<void> {
    const { bytes, linkHeader = null, readAt } = entry;
    const insert = bytes.length > 0 ? this.#insert : this.#insertIfKnown;
    await insert(
      repository,
      `INSERT INTO hubgate.document (repository, resource, bytes, link, read_at)
        SELECT id, $2, $3, $4, $5 FROM hubgate.repository WHERE name = $1 FOR KEY SHARE
        ON CONFLICT (repository, resource) DO UPDATE SET bytes = excluded.bytes, link = excluded.link,
          read_at = excluded.read_at`,
      [resource, bytes, linkHeader, readAt],
    );
    const isTags = resource.startsWith('tags/');
    await this.#database.change(
      `DELETE FROM hubgate.document WHERE repository = ${ID} AND (resource LIKE 'tags/%') = $2 AND resource NOT IN (
        SELECT resource FROM hubgate.document WHERE repository = ${ID} AND (resource LIKE 'tags/%') = $2
        ORDER BY read_at DESC LIMIT $3)`,
      [repository, isTags, isTags ? DOCUMENTS_KEPT.tags : DOCUMENTS_KEPT.others],
    );
  }

  async removeDocument(repository: RepositoryName, resource: string): Promise<void> {
    await this.#database.change(`DELETE FROM hubgate.document WHERE repository = ${ID} AND resource = $2`, [
      repository,
      resource,
    ]);
  }

  /** Removes all that is known of a repository. Resolves to the digests that it had. */
  async forget(repository: RepositoryName): Promise<readonly Digest[]> {
    const rows = await this.#database.rows<{ digest: Digest }>(
      `WITH links AS (SELECT digest FROM hubgate.link WHERE repository = ${ID}),
        gone AS (DELETE FROM hubgate.repository WHERE name = $1)
        SELECT DISTINCT digest FROM links`,
      [repository],
    );
    return rows.map(({ digest }) => digest);
  }

  async removeLink(repository: RepositoryName, digest: Digest): Promise<boolean> {
    const sql = `DELETE FROM hubgate.link WHERE repository = ${ID} AND digest = $2`;
    return (await this.#database.change(sql, [repository, digest])) > 0;
  }

  async isLinkedAnywhere(digest: Digest): Promise<boolean> {
    const rows = await this.#database.rows('SELECT 1 FROM hubgate.link WHERE digest = $1 LIMIT 1', [digest]);
    return rows.length > 0;
  }

  async repositories(): Promise<readonly RepositoryEntry[]> {
    const entries: RepositoryEntry[] = [];
    for (;;) {
      const rows = await this.#database.rows<RepositoryRow>(
        `SELECT name, visibility, visibility_checked_at,
          (SELECT count(*) FROM hubgate.link WHERE repository = r.id) AS links,
          (SELECT count(*) FROM hubgate.tag WHERE repository = r.id) AS tags
          FROM hubgate.repository r WHERE name > $1 ORDER BY name LIMIT ${BATCH}`,
        [entries.at(-1)?.name ?? ''],
      );
      for (const { name, visibility, visibility_checked_at: checkedAt, links, tags } of rows)
        entries.push({
          name,
          visibility: visibility ?? undefined,
          ...(visibility !== null && { visibilityCheckedAt: checkedAt }),
          digests: links,
          tags,
        });
      if (rows.length < BATCH) return entries;
    }
  }

  /** Inserts a row of a repository, which is added if nothing was known of it. */
  readonly #insert = async (name: RepositoryName, sql: string, values: readonly PostgresValue[]) => {
    // A repository that is forgotten at the same time is begun anew.
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await this.#database.change(ADD, [name]);
      if (await this.#insertIfKnown(name, sql, values)) return true;
    }
    return false;
  };

  readonly #insertIfKnown = async (name: RepositoryName, sql: string, values: readonly PostgresValue[]) =>
    (await this.#database.change(sql, [name, ...values])) > 0;

  async count(): Promise<number> {
    const [row] = await this.#database.rows<{ count: number }>('SELECT count(*) FROM hubgate.repository');
    return row?.count ?? 0;
  }
}
