import { renameSync, rmSync } from 'node:fs';
import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import type { Logger } from '../../platform/log.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import type { Tag } from '../../registry/reference.ts';
import type { RepositoryName } from '../../registry/repository.ts';
import type {
  ContentEntry,
  DocumentEntry,
  IndexStats,
  IndexStore,
  Link,
  LinkKind,
  RepositoryEntry,
  TagEntry,
  UnusedContent,
  VisibilityEntry,
} from './index-store.ts';

const SCHEMA_VERSION = 2;

const SCHEMA = `
  CREATE TABLE repository (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    visibility TEXT,
    visibility_checked_at INTEGER
  ) STRICT;
  CREATE TABLE link (
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    media_type TEXT,
    PRIMARY KEY (repository, kind, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX link_digest ON link (digest);
  CREATE TABLE tag (
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE document (
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    resource TEXT NOT NULL,
    bytes BLOB NOT NULL,
    link TEXT,
    read_at INTEGER NOT NULL,
    PRIMARY KEY (repository, resource)
  ) STRICT;
  CREATE TABLE content (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    checked_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX content_used ON content (used_at);
  CREATE INDEX content_checked ON content (checked_at);
  CREATE TABLE child (
    parent TEXT NOT NULL,
    child TEXT NOT NULL,
    PRIMARY KEY (parent, child)
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

const SELECT = {
  link: 'SELECT l.media_type FROM link l JOIN repository r ON r.id = l.repository WHERE r.name = ? AND kind = ? AND digest = ?',
  tag: 'SELECT t.* FROM tag t JOIN repository r ON r.id = t.repository WHERE r.name = ? AND t.name = ?',
  visibility:
    'SELECT visibility, visibility_checked_at FROM repository WHERE name = ? AND visibility IS NOT NULL',
  document:
    'SELECT d.bytes, d.link, d.read_at FROM document d JOIN repository r ON r.id = d.repository WHERE r.name = ? AND resource = ?',
  repositories: `SELECT name, visibility,
    (SELECT count(*) FROM link WHERE repository = id) AS digests,
    (SELECT count(*) FROM tag WHERE repository = id) AS tags FROM repository ORDER BY name`,
  links: 'SELECT DISTINCT l.digest FROM link l JOIN repository r ON r.id = l.repository WHERE r.name = ?',
  linked: 'SELECT 1 FROM link WHERE digest = ? LIMIT 1',
  content: 'SELECT size, used_at, checked_at FROM content WHERE digest = ?',
  unused: 'SELECT digest, size FROM content WHERE used_at < ? ORDER BY used_at LIMIT ?',
  unchecked: 'SELECT digest FROM content WHERE checked_at < ? ORDER BY checked_at LIMIT 1',
  stats: `SELECT count(*) AS blobs, coalesce(sum(size), 0) AS bytes,
    (SELECT count(*) FROM repository) AS repositories FROM content`,
};

const CHANGE = {
  addRepository: 'INSERT INTO repository (name) VALUES (?) ON CONFLICT DO NOTHING',
  putLink:
    'INSERT OR REPLACE INTO link (repository, kind, digest, media_type) SELECT id, ?, ?, ? FROM repository WHERE name = ?',
  putTag:
    'INSERT OR REPLACE INTO tag (repository, name, digest, media_type, size, checked_at) SELECT id, ?, ?, ?, ?, ? FROM repository WHERE name = ?',
  removeTag: 'DELETE FROM tag WHERE repository = (SELECT id FROM repository WHERE name = ?) AND name = ?',
  putVisibility: 'UPDATE repository SET visibility = ?, visibility_checked_at = ? WHERE name = ?',
  putDocument:
    'INSERT OR REPLACE INTO document (repository, resource, bytes, link, read_at) SELECT id, ?, ?, ?, ? FROM repository WHERE name = ?',
  trimDocuments: `DELETE FROM document WHERE repository = (SELECT id FROM repository WHERE name = ?1) AND resource NOT IN (
    SELECT resource FROM document WHERE repository = (SELECT id FROM repository WHERE name = ?1)
    ORDER BY read_at DESC LIMIT ?2)`,
  forget: 'DELETE FROM repository WHERE name = ?',
  removeLink: 'DELETE FROM link WHERE repository = (SELECT id FROM repository WHERE name = ?) AND digest = ?',
  putContent: 'INSERT OR REPLACE INTO content (digest, size, used_at, checked_at) VALUES (?, ?, ?, ?)',
  removeContent: 'DELETE FROM content WHERE digest = ?',
  putChild: 'INSERT OR IGNORE INTO child (parent, child) VALUES (?, ?)',
  removeChildren: 'DELETE FROM child WHERE parent = ?',
  touch: `WITH RECURSIVE used (digest) AS (
      SELECT ?1 UNION SELECT child FROM child JOIN used ON parent = used.digest
    ) UPDATE content SET used_at = ?2 WHERE digest IN (SELECT digest FROM used) AND used_at < ?2`,
  putChecked: 'UPDATE content SET checked_at = ? WHERE digest = ?',
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
};

/** Of each repository: callers choose how long the pages of a list are, and so how many there can be. */
const DOCUMENTS_KEPT = 20;

/** Primary result codes of SQLite; an extended code holds its primary one in its lowest byte. */
const BUSY = 5;
const CORRUPT = 11;
const NOT_A_DATABASE = 26;

/**
 * The index in one SQLite file. A file that is torn, or of another version, is set aside and a new one begun: it is a
 * memory, not a reason not to start. The file is locked for as long as it is open, so a second core is refused.
 *
 * @throws where the file can be neither used nor replaced.
 */
export function openSqliteIndex(file: string, log: Logger): IndexStore {
  return new SqliteIndex(file, log);
}

class ForeignVersion extends Error {
  override readonly name = 'ForeignVersion';
}

function openDatabase(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  try {
    // WAL without a sync at each commit: what a power cut can take is the last links, never the file.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
    database.exec('PRAGMA foreign_keys = ON; BEGIN IMMEDIATE');
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as {
      user_version: number;
    };
    if (version === 0) database.exec(SCHEMA);
    database.exec('COMMIT');
    if (version !== 0 && version !== SCHEMA_VERSION) throw new ForeignVersion(`its version is ${version}`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function openOrBeginAnew(file: string, log: Logger): DatabaseSync {
  try {
    return openDatabase(file);
  } catch (error) {
    if (codeOf(error) === BUSY) throw new Error(`${file} is in use by another core`, { cause: error });
    if (!isUnusable(error)) throw error;
    setAside(file, error as Error, log);
    return openDatabase(file);
  }
}

function codeOf(error: unknown): number | undefined {
  const { errcode } = error as { errcode?: number };
  return errcode === undefined ? undefined : errcode & 0xff;
}

function isUnusable(error: unknown): boolean {
  const code = codeOf(error);
  return error instanceof ForeignVersion || code === CORRUPT || code === NOT_A_DATABASE;
}

function setAside(file: string, error: Error, log: Logger): void {
  const aside = `${file}.broken`;
  log.warn({ file, aside, error: error.message }, 'the index cannot be used; beginning a new one');
  renameSync(file, aside);
  for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true });
}

type Statements<Texts> = { readonly [Name in keyof Texts]: StatementSync };

interface Open {
  readonly database: DatabaseSync;
  readonly select: Statements<typeof SELECT>;
  readonly change: Statements<typeof CHANGE>;
}

function prepare(database: DatabaseSync): Open {
  return { database, select: prepareAll(database, SELECT), change: prepareAll(database, CHANGE) };
}

class SqliteIndex implements IndexStore {
  readonly isNew: boolean;
  readonly #file: string;
  readonly #log: Logger;
  #open: Open;
  #failing = false;
  /** What should be forgotten and could not be: nothing is known of it meanwhile. */
  readonly #withdrawn = new Set<RepositoryName>();

  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
    this.#open = prepare(openOrBeginAnew(file, log));
    this.isNew = this.#open.select.stats.get()?.blobs === 0;
  }

  async link(repository: RepositoryName, kind: LinkKind, digest: Digest): Promise<Link | undefined> {
    const row = this.#find(repository, ({ select }) => select.link.get(repository, kind, digest));
    if (row === undefined) return undefined;
    return kind === 'blob' ? { kind } : { kind, mediaType: row.media_type as ManifestMediaType };
  }

  async putLink(repository: RepositoryName, digest: Digest, link: Link): Promise<void> {
    const mediaType = link.kind === 'manifest' ? link.mediaType : null;
    this.#write(({ change }) => {
      change.addRepository.run(repository);
      change.putLink.run(link.kind, digest, mediaType, repository);
    });
  }

  async tag(repository: RepositoryName, tag: Tag): Promise<TagEntry | undefined> {
    const row = this.#find(repository, ({ select }) => select.tag.get(repository, tag));
    if (row === undefined) return undefined;
    return {
      digest: row.digest as Digest,
      mediaType: row.media_type as ManifestMediaType,
      size: row.size as number,
      checkedAt: row.checked_at as number,
    };
  }

  async putTag(repository: RepositoryName, tag: Tag, entry: TagEntry): Promise<void> {
    this.#write(({ change }) => {
      change.addRepository.run(repository);
      change.putTag.run(tag, entry.digest, entry.mediaType, entry.size, entry.checkedAt, repository);
    });
  }

  async removeTag(repository: RepositoryName, tag: Tag): Promise<void> {
    this.#write(({ change }) => change.removeTag.run(repository, tag));
  }

  async visibility(repository: RepositoryName): Promise<VisibilityEntry | undefined> {
    const row = this.#find(repository, ({ select }) => select.visibility.get(repository));
    if (row === undefined) return undefined;
    return {
      visibility: row.visibility as VisibilityEntry['visibility'],
      checkedAt: row.visibility_checked_at as number,
    };
  }

  async putVisibility(repository: RepositoryName, { visibility, checkedAt }: VisibilityEntry): Promise<void> {
    this.#write(({ change }) => {
      if (visibility === 'public') change.addRepository.run(repository);
      change.putVisibility.run(visibility, checkedAt, repository);
    });
  }

  async document(repository: RepositoryName, resource: string): Promise<DocumentEntry | undefined> {
    const row = this.#find(repository, ({ select }) => select.document.get(repository, resource));
    if (row === undefined) return undefined;
    const { bytes, link, read_at: readAt } = row;
    return {
      bytes: bytes as Uint8Array,
      link: (link ?? undefined) as string | undefined,
      readAt: readAt as number,
    };
  }

  async putDocument(
    repository: RepositoryName,
    resource: string,
    { bytes, link, readAt }: DocumentEntry,
  ): Promise<void> {
    this.#write(({ change }) => {
      change.addRepository.run(repository);
      change.putDocument.run(resource, bytes, link ?? null, readAt, repository);
      change.trimDocuments.run(repository, DOCUMENTS_KEPT);
    });
  }

  async forget(repository: RepositoryName): Promise<void> {
    this.#forget(repository);
  }

  async removeLink(repository: RepositoryName, digest: Digest): Promise<void> {
    this.#write(({ change }) => change.removeLink.run(repository, digest));
  }

  async links(repository: RepositoryName): Promise<readonly Digest[]> {
    const rows = this.#try(({ select }) => select.links.all(repository)) ?? [];
    return rows.map(({ digest }) => digest as Digest);
  }

  async isLinked(digest: Digest): Promise<boolean> {
    return this.#try(({ select }) => select.linked.get(digest)) !== undefined;
  }

  async repositories(): Promise<readonly RepositoryEntry[]> {
    const rows = this.#try(({ select }) => select.repositories.all()) ?? [];
    return rows.map(({ name, visibility, digests, tags }) => ({
      name: name as RepositoryName,
      visibility: (visibility ?? undefined) as RepositoryEntry['visibility'],
      digests: digests as number,
      tags: tags as number,
    }));
  }

  async content(digest: Digest): Promise<ContentEntry | undefined> {
    const row = this.#try(({ select }) => select.content.get(digest));
    if (row === undefined) return undefined;
    const { size, used_at: usedAt, checked_at: checkedAt } = row as Record<string, number>;
    return { size: size ?? 0, usedAt: usedAt ?? 0, checkedAt: checkedAt ?? 0 };
  }

  async putContent(digest: Digest, { size, usedAt, checkedAt }: ContentEntry): Promise<void> {
    this.#write(({ change }) => change.putContent.run(digest, size, usedAt, checkedAt));
  }

  async removeContent(digest: Digest): Promise<void> {
    this.#write(({ change }) => {
      change.removeContent.run(digest);
      change.removeChildren.run(digest);
    });
  }

  async putChildren(parent: Digest, children: readonly Digest[]): Promise<void> {
    this.#write(({ change }) => {
      for (const child of children) change.putChild.run(parent, child);
    });
  }

  async touch(uses: ReadonlyMap<Digest, number>): Promise<void> {
    this.#write(({ database, change }) => {
      change.begin.run();
      try {
        for (const [digest, at] of uses) change.touch.run(digest, at);
        change.commit.run();
      } finally {
        if (database.isTransaction) database.exec('ROLLBACK');
      }
    });
  }

  async unusedSince(before: number, limit: number): Promise<readonly UnusedContent[]> {
    const rows = this.#try(({ select }) => select.unused.all(before, limit)) ?? [];
    return rows.map(({ digest, size }) => ({ digest: digest as Digest, size: size as number }));
  }

  async uncheckedSince(before: number): Promise<Digest | undefined> {
    return this.#try(({ select }) => select.unchecked.get(before))?.digest as Digest | undefined;
  }

  async putChecked(digest: Digest, at: number): Promise<void> {
    this.#write(({ change }) => change.putChecked.run(at, digest));
  }

  async stats(): Promise<IndexStats> {
    const row = this.#try(({ select }) => select.stats.get()) as Record<string, number> | undefined;
    return { blobs: row?.blobs ?? 0, bytes: row?.bytes ?? 0, repositories: row?.repositories ?? 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open.database.close();
  }

  #find(
    repository: RepositoryName,
    select: (open: Open) => Record<string, SQLOutputValue> | undefined,
  ): Record<string, SQLOutputValue> | undefined {
    if (this.#withdrawn.has(repository) && !this.#forget(repository)) return undefined;
    return this.#try(select);
  }

  #forget(repository: RepositoryName): boolean {
    const done = this.#write(({ change }) => change.forget.run(repository));
    if (done) this.#withdrawn.delete(repository);
    else this.#withdrawn.add(repository);
    return done;
  }

  /** Did it? A link that is lost costs a HEAD some day. */
  #write(task: (open: Open) => unknown): boolean {
    const done = this.#try((open) => {
      task(open);
      return true;
    });
    if (done === true) this.#failing = false;
    return done === true;
  }

  /** Runs `task`. Undefined where that fails, as on a full disk: that is no reason not to serve. */
  #try<T>(task: (open: Open) => T): T | undefined {
    try {
      return task(this.#open);
    } catch (error) {
      if (isUnusable(error)) this.#beginAnew(error as Error);
      else if (!this.#failing) {
        this.#failing = true;
        this.#log.error({ file: this.#file, error: (error as Error).message }, 'the index fails');
      }
      return undefined;
    }
  }

  #beginAnew(error: Error): void {
    this.#open.database.close();
    setAside(this.#file, error, this.#log);
    this.#open = prepare(openDatabase(this.#file));
  }
}

function prepareAll<Texts extends Record<string, string>>(
  database: DatabaseSync,
  texts: Texts,
): Statements<Texts> {
  const statements = Object.entries(texts).map(([name, text]) => [name, database.prepare(text)]);
  return Object.fromEntries(statements) as Statements<Texts>;
}
