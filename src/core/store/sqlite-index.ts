import { renameSync, rmSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Logger } from '../../platform/log.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import type { Tag } from '../../registry/reference.ts';
import type { RepositoryName } from '../../registry/repository.ts';
import type { IndexStore, Link, LinkKind, TagEntry, VisibilityEntry } from './index-store.ts';

const SCHEMA_VERSION = 1;

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
  CREATE TABLE tag (
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

const SELECT = {
  link: 'SELECT l.media_type FROM link l JOIN repository r ON r.id = l.repository WHERE r.name = ? AND kind = ? AND digest = ?',
  tag: 'SELECT t.* FROM tag t JOIN repository r ON r.id = t.repository WHERE r.name = ? AND t.name = ?',
  visibility:
    'SELECT visibility, visibility_checked_at FROM repository WHERE name = ? AND visibility IS NOT NULL',
};

const CHANGE = {
  addRepository: 'INSERT INTO repository (name) VALUES (?) ON CONFLICT DO NOTHING',
  putLink:
    'INSERT OR REPLACE INTO link (repository, kind, digest, media_type) SELECT id, ?, ?, ? FROM repository WHERE name = ?',
  putTag:
    'INSERT OR REPLACE INTO tag (repository, name, digest, media_type, size, checked_at) SELECT id, ?, ?, ?, ?, ? FROM repository WHERE name = ?',
  removeTag: 'DELETE FROM tag WHERE repository = (SELECT id FROM repository WHERE name = ?) AND name = ?',
  putVisibility: 'UPDATE repository SET visibility = ?, visibility_checked_at = ? WHERE name = ?',
  forget: 'DELETE FROM repository WHERE name = ?',
};

/**
 * The index in one SQLite file. A file that is torn, or of another version, is set aside and a new one begun: it is a
 * memory, not a reason not to start. The file is locked for as long as it is open, so a second core is refused.
 */
export function openSqliteIndex(file: string, log: Logger): IndexStore {
  try {
    return new SqliteIndex(openDatabase(file));
  } catch (error) {
    if (isLocked(error)) throw new Error(`${file} is in use by another core`, { cause: error });
    const aside = `${file}.broken`;
    log.warn(
      { file, aside, error: (error as Error).message },
      'the index cannot be used; beginning a new one',
    );
    renameSync(file, aside);
    for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true });
    return new SqliteIndex(openDatabase(file));
  }
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
    if (version !== 0 && version !== SCHEMA_VERSION) throw new Error(`its version is ${version}`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function isLocked(error: unknown): boolean {
  return (error as { errcode?: number }).errcode === 5;
}

type Statements<Texts> = { readonly [Name in keyof Texts]: StatementSync };

class SqliteIndex implements IndexStore {
  readonly #database: DatabaseSync;
  readonly #select: Statements<typeof SELECT>;
  readonly #change: Statements<typeof CHANGE>;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#select = prepareAll(database, SELECT);
    this.#change = prepareAll(database, CHANGE);
  }

  async link(repository: RepositoryName, kind: LinkKind, digest: Digest): Promise<Link | undefined> {
    const row = this.#select.link.get(repository, kind, digest);
    if (row === undefined) return undefined;
    return kind === 'blob' ? { kind } : { kind, mediaType: row.media_type as ManifestMediaType };
  }

  async putLink(repository: RepositoryName, digest: Digest, link: Link): Promise<void> {
    const mediaType = link.kind === 'manifest' ? link.mediaType : null;
    this.#change.addRepository.run(repository);
    this.#change.putLink.run(link.kind, digest, mediaType, repository);
  }

  async tag(repository: RepositoryName, tag: Tag): Promise<TagEntry | undefined> {
    const row = this.#select.tag.get(repository, tag);
    if (row === undefined) return undefined;
    return {
      digest: row.digest as Digest,
      mediaType: row.media_type as ManifestMediaType,
      size: row.size as number,
      checkedAt: row.checked_at as number,
    };
  }

  async putTag(repository: RepositoryName, tag: Tag, entry: TagEntry): Promise<void> {
    this.#change.addRepository.run(repository);
    this.#change.putTag.run(tag, entry.digest, entry.mediaType, entry.size, entry.checkedAt, repository);
  }

  async removeTag(repository: RepositoryName, tag: Tag): Promise<void> {
    this.#change.removeTag.run(repository, tag);
  }

  async visibility(repository: RepositoryName): Promise<VisibilityEntry | undefined> {
    const row = this.#select.visibility.get(repository);
    if (row === undefined) return undefined;
    return {
      visibility: row.visibility as VisibilityEntry['visibility'],
      checkedAt: row.visibility_checked_at as number,
    };
  }

  async putVisibility(repository: RepositoryName, { visibility, checkedAt }: VisibilityEntry): Promise<void> {
    if (visibility === 'public') this.#change.addRepository.run(repository);
    this.#change.putVisibility.run(visibility, checkedAt, repository);
  }

  async forget(repository: RepositoryName): Promise<void> {
    this.#change.forget.run(repository);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database.close();
  }
}

function prepareAll<Texts extends Record<string, string>>(
  database: DatabaseSync,
  texts: Texts,
): Statements<Texts> {
  const statements = Object.entries(texts).map(([name, text]) => [name, database.prepare(text)]);
  return Object.fromEntries(statements) as Statements<Texts>;
}
