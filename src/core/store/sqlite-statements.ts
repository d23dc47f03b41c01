import type { DatabaseSync } from 'node:sqlite';
import {
  prepareChanges,
  prepareQueries,
  type Queries,
  type Statements,
} from '../../platform/sqlite-query.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import type { RepositoryName } from '../../registry/repository.ts';

const SCHEMA_VERSION = 5;

/**
 * The prefix of the names of forgotten repositories that still have rows. No real name begins with it, and it
 * sorts after all of them.
 */
const FORGOTTEN = '~';

const TABLES = `
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
`;

/** SQLite itself updates these counts by triggers, because counting a million rows blocks the event loop. */
const COUNTS = `
  CREATE TABLE total (blobs INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
  INSERT INTO total SELECT count(*), coalesce(sum(size), 0) FROM content;
  CREATE TRIGGER content_added AFTER INSERT ON content BEGIN
    UPDATE total SET blobs = blobs + 1, bytes = bytes + new.size;
  END;
  CREATE TRIGGER content_removed AFTER DELETE ON content BEGIN
    UPDATE total SET blobs = blobs - 1, bytes = bytes - old.size;
  END;
  ALTER TABLE repository ADD COLUMN links INTEGER NOT NULL DEFAULT 0;
  UPDATE repository SET links = (SELECT count(*) FROM link WHERE repository = id);
  CREATE TRIGGER link_added AFTER INSERT ON link BEGIN
    UPDATE repository SET links = links + 1 WHERE id = new.repository;
  END;
  CREATE TRIGGER link_removed AFTER DELETE ON link BEGIN
    UPDATE repository SET links = links - 1 WHERE id = old.repository;
  END;
`;

/** Content from before this version is judged when it is next requested as a manifest. */
const JUDGEMENTS = 'ALTER TABLE content ADD COLUMN manifest_type TEXT;';

/**
 * Everybody got the knowledge about a public repository before this version, and that stays so. A stored list
 * of tags does not say who read it, so it is read again.
 */
const PUBLICITY = `
  ALTER TABLE link ADD COLUMN public INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE link ADD COLUMN checked_at INTEGER;
  ALTER TABLE link ADD COLUMN deleted_at INTEGER;
  ALTER TABLE tag ADD COLUMN public INTEGER NOT NULL DEFAULT 0;
  UPDATE link SET public = 1 WHERE repository IN (SELECT id FROM repository WHERE visibility = 'public');
  UPDATE tag SET public = 1 WHERE repository IN (SELECT id FROM repository WHERE visibility = 'public');
  DELETE FROM document;
`;

const VERSION = `PRAGMA user_version = ${SCHEMA_VERSION};`;

/** The statements that upgrade a file of each version to this one. */
export const UPGRADES: ReadonlyMap<number, string> = new Map([
  [0, TABLES + COUNTS + JUDGEMENTS + PUBLICITY + VERSION],
  [2, COUNTS + JUDGEMENTS + PUBLICITY + VERSION],
  [3, JUDGEMENTS + PUBLICITY + VERSION],
  [4, PUBLICITY + VERSION],
  [SCHEMA_VERSION, ''],
]);

const SELECT = {
  link: 'SELECT l.media_type, l.public, l.checked_at, l.deleted_at FROM link l JOIN repository r ON r.id = l.repository WHERE r.name = ? AND kind = ? AND digest = ?',
  tag: 'SELECT t.* FROM tag t JOIN repository r ON r.id = t.repository WHERE r.name = ? AND t.name = ?',
  visibility:
    'SELECT visibility, visibility_checked_at FROM repository WHERE name = ? AND visibility IS NOT NULL',
  document:
    'SELECT d.bytes, d.link, d.read_at FROM document d JOIN repository r ON r.id = d.repository WHERE r.name = ? AND resource = ?',
  repositories: `SELECT name, visibility, visibility_checked_at, links, (SELECT count(*) FROM tag WHERE repository = id) AS tags
    FROM repository WHERE name > ? AND name < '${FORGOTTEN}' ORDER BY name LIMIT ?`,
  linked: `SELECT 1 FROM link l JOIN repository r ON r.id = l.repository
    WHERE l.digest = ? AND r.name < '${FORGOTTEN}' LIMIT 1`,
  repository: 'SELECT id FROM repository WHERE name = ?',
  forgotten: `SELECT id FROM repository WHERE name >= '${FORGOTTEN}' ORDER BY name`,
  linksOf: 'SELECT digest FROM link WHERE repository = ? LIMIT ?',
  content: 'SELECT size, used_at, checked_at, manifest_type FROM content WHERE digest = ?',
  unused: 'SELECT digest, size FROM content WHERE used_at < ? ORDER BY used_at LIMIT ?',
  unchecked: 'SELECT digest FROM content WHERE checked_at < ? ORDER BY checked_at LIMIT 1',
  anyContent: 'SELECT 1 FROM content LIMIT 1',
  children: 'SELECT child FROM child WHERE parent = ? AND child > ? ORDER BY child LIMIT ?',
  stats: `SELECT blobs, bytes,
    (SELECT count(*) FROM repository WHERE name < '${FORGOTTEN}') AS repositories FROM total`,
};

const CHANGE = {
  addRepository: 'INSERT INTO repository (name) VALUES (?) ON CONFLICT DO NOTHING',
  putLink: `INSERT OR REPLACE INTO link (repository, kind, digest, media_type, public, checked_at, deleted_at)
    SELECT id, ?1, ?2, ?3, max(?4, coalesce((SELECT public FROM link WHERE repository = id AND kind = ?1 AND digest = ?2), 0)), ?5, ?6
    FROM repository WHERE name = ?7`,
  putTag:
    'INSERT OR REPLACE INTO tag (repository, name, digest, media_type, size, checked_at, public) SELECT id, ?, ?, ?, ?, ?, ? FROM repository WHERE name = ?',
  removeTag: 'DELETE FROM tag WHERE repository = (SELECT id FROM repository WHERE name = ?) AND name = ?',
  putVisibility: 'UPDATE repository SET visibility = ?, visibility_checked_at = ? WHERE name = ?',
  putDocument:
    'INSERT OR REPLACE INTO document (repository, resource, bytes, link, read_at) SELECT id, ?, ?, ?, ? FROM repository WHERE name = ?',
  removeDocument:
    'DELETE FROM document WHERE repository = (SELECT id FROM repository WHERE name = ?) AND resource = ?',
  trimDocuments: `DELETE FROM document WHERE repository = (SELECT id FROM repository WHERE name = ?1) AND (resource LIKE 'tags/%') = ?3
    AND resource NOT IN (SELECT resource FROM document
    WHERE repository = (SELECT id FROM repository WHERE name = ?1) AND (resource LIKE 'tags/%') = ?3
    ORDER BY read_at DESC LIMIT ?2)`,
  /** No row of the repository is found any more after this, however many it has. */
  forget: `UPDATE repository SET name = '${FORGOTTEN}' || id, visibility = NULL WHERE name = ?`,
  unlink: 'DELETE FROM link WHERE repository = ? AND digest = ?',
  removeRepository: 'DELETE FROM repository WHERE id = ?',
  removeLink: 'DELETE FROM link WHERE repository = (SELECT id FROM repository WHERE name = ?) AND digest = ?',
  putContent:
    'INSERT OR REPLACE INTO content (digest, size, used_at, checked_at, manifest_type) VALUES (?, ?, ?, ?, ?)',
  putManifestType: 'UPDATE content SET manifest_type = ? WHERE digest = ?',
  removeContent: 'DELETE FROM content WHERE digest = ?',
  putChild: 'INSERT OR IGNORE INTO child (parent, child) VALUES (?, ?)',
  removeChildren: 'DELETE FROM child WHERE parent = ?',
  touch: 'UPDATE content SET used_at = ?2 WHERE digest = ?1 AND used_at < ?2',
  putChecked: 'UPDATE content SET checked_at = ? WHERE digest = ?',
  /** This statement changes nothing, but is written to disk nevertheless. */
  probe: 'UPDATE total SET blobs = blobs',
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
};

/** The columns of each query. The index stores only values that were parsed before. */
interface IndexRows {
  readonly link: {
    readonly media_type: ManifestMediaType | null;
    readonly public: number;
    readonly checked_at: number | null;
    readonly deleted_at: number | null;
  };
  readonly tag: {
    readonly digest: Digest;
    readonly media_type: ManifestMediaType;
    readonly size: number;
    readonly checked_at: number;
    readonly public: number;
  };
  readonly visibility: {
    readonly visibility: 'public' | 'private';
    readonly visibility_checked_at: number;
  };
  readonly document: {
    readonly bytes: Uint8Array;
    readonly link: string | null;
    readonly read_at: number;
  };
  readonly repositories: {
    readonly name: RepositoryName;
    readonly visibility: 'public' | 'private' | null;
    readonly visibility_checked_at: number;
    readonly links: number;
    readonly tags: number;
  };
  readonly linked: object;
  readonly repository: { readonly id: number };
  readonly forgotten: { readonly id: number };
  readonly linksOf: { readonly digest: Digest };
  readonly content: {
    readonly size: number;
    readonly used_at: number;
    readonly checked_at: number;
    readonly manifest_type: ManifestMediaType | null;
  };
  readonly unused: { readonly digest: Digest; readonly size: number };
  readonly unchecked: { readonly digest: Digest };
  readonly anyContent: object;
  readonly children: { readonly child: Digest };
  readonly stats: { readonly blobs: number; readonly bytes: number; readonly repositories: number };
}

export interface OpenDatabase {
  readonly database: DatabaseSync;
  readonly select: Queries<IndexRows>;
  readonly change: Statements<typeof CHANGE>;
}

export function prepareStatements(database: DatabaseSync): OpenDatabase {
  return {
    database,
    select: prepareQueries<IndexRows>(database, SELECT),
    change: prepareChanges(database, CHANGE),
  };
}
