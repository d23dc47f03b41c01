import type { DatabaseSync } from 'node:sqlite';
import {
  prepareChanges,
  prepareQueries,
  type Queries,
  type Statements,
} from '../../platform/sqlite-query.ts';
import type { Digest } from '../../registry/digest.ts';
import type { ManifestMediaType } from '../../registry/media-type.ts';
import type { Tag } from '../../registry/reference.ts';

export const HOSTED_SCHEMA_VERSION = 1;

/** The most changes of one tag that are kept and listed. */
export const MOST_TAG_CHANGES = 1_000;

/**
 * SQLite itself counts the bytes and tags of a repository by triggers, in the transaction that changes them, so
 * the counts cannot drift.
 */
export const HOSTED_TABLES = `
  CREATE TABLE repository (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    bytes INTEGER NOT NULL DEFAULT 0,
    tags INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE TABLE blob (
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    leased_until INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX blob_digest ON blob (digest);
  CREATE TABLE manifest (
    id INTEGER PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    pushed_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    subject TEXT,
    artifact_type TEXT,
    annotations TEXT,
    bytes BLOB NOT NULL,
    UNIQUE (repository, digest)
  ) STRICT;
  CREATE INDEX manifest_subject ON manifest (repository, subject, digest) WHERE subject IS NOT NULL;
  CREATE TABLE child (
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    parent TEXT NOT NULL,
    child TEXT NOT NULL,
    PRIMARY KEY (repository, parent, child)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX child_parents ON child (repository, child);
  CREATE TABLE tag (
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    set_at INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX tag_digest ON tag (repository, digest);
  CREATE TABLE tag_history (
    id INTEGER PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    digest TEXT,
    previous TEXT,
    at INTEGER NOT NULL,
    subject TEXT NOT NULL,
    credential TEXT NOT NULL
  ) STRICT;
  CREATE INDEX tag_history_tag ON tag_history (repository, tag, id);
  CREATE INDEX tag_history_previous ON tag_history (repository, previous, at) WHERE previous IS NOT NULL;
  CREATE TABLE candidate (
    repository INTEGER NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    review_at INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX candidate_review ON candidate (review_at);
  CREATE TRIGGER blob_added AFTER INSERT ON blob BEGIN
    UPDATE repository SET bytes = bytes + new.size WHERE id = new.repository;
  END;
  CREATE TRIGGER blob_removed AFTER DELETE ON blob BEGIN
    UPDATE repository SET bytes = bytes - old.size WHERE id = old.repository;
  END;
  CREATE TRIGGER manifest_added AFTER INSERT ON manifest BEGIN
    UPDATE repository SET bytes = bytes + new.size WHERE id = new.repository;
  END;
  CREATE TRIGGER manifest_removed AFTER DELETE ON manifest BEGIN
    UPDATE repository SET bytes = bytes - old.size WHERE id = old.repository;
  END;
  CREATE TRIGGER tag_added AFTER INSERT ON tag BEGIN
    UPDATE repository SET tags = tags + 1 WHERE id = new.repository;
  END;
  CREATE TRIGGER tag_removed AFTER DELETE ON tag BEGIN
    UPDATE repository SET tags = tags - 1 WHERE id = old.repository;
  END;
`;

/**
 * What a database of an earlier version lacks, and what an earlier version passes by: the removals that the audit
 * log does not have yet, and the bound on the changes of one tag.
 */
export const ADDED_HOSTED_TABLES = `
  CREATE TABLE IF NOT EXISTS removal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT,
    tag TEXT,
    digest TEXT NOT NULL,
    credential TEXT NOT NULL,
    reason TEXT NOT NULL
  ) STRICT;
  CREATE TRIGGER IF NOT EXISTS tag_history_added AFTER INSERT ON tag_history BEGIN
    DELETE FROM tag_history WHERE repository = new.repository AND tag = new.tag AND id <= (
      SELECT id FROM tag_history WHERE repository = new.repository AND tag = new.tag
      ORDER BY id DESC LIMIT 1 OFFSET ${MOST_TAG_CHANGES});
  END;
`;

const SELECT = {
  repository: 'SELECT id, bytes, tags FROM repository WHERE path = ?',
  pathOf: 'SELECT path FROM repository WHERE id = ?',
  /** The names between the slash after a namespace and the character after the slash. */
  used: `SELECT coalesce(sum(bytes), 0) AS bytes FROM repository WHERE path > ?1 || '/' AND path < ?1 || '0'`,
  blob: 'SELECT size, leased_until FROM blob WHERE repository = ? AND digest = ?',
  anyBlob: 'SELECT 1 FROM blob WHERE digest = ? LIMIT 1',
  manifest: 'SELECT media_type, size, used_at, bytes FROM manifest WHERE repository = ? AND digest = ?',
  manifestHead:
    'SELECT media_type, size, subject, pushed_at, used_at FROM manifest WHERE repository = ? AND digest = ?',
  tag: 'SELECT digest, set_at FROM tag WHERE repository = ? AND name = ?',
  tagsAfter: 'SELECT name FROM tag WHERE repository = ? AND name > ? ORDER BY name LIMIT ?',
  tagsOf: 'SELECT name, set_at FROM tag WHERE repository = ? AND digest = ?',
  anyTagOf: 'SELECT name FROM tag WHERE repository = ? AND digest = ? LIMIT 1',
  anyParent: 'SELECT parent FROM child WHERE repository = ? AND child = ? LIMIT 1',
  children: 'SELECT child FROM child WHERE repository = ? AND parent = ?',
  referrers: `SELECT digest, media_type, size, artifact_type, annotations FROM manifest
    WHERE repository = ?1 AND subject = ?2 AND digest > ?3 AND (?4 IS NULL OR artifact_type = ?4) ORDER BY digest LIMIT ?5`,
  referrerDigests: 'SELECT digest FROM manifest WHERE repository = ? AND subject = ?',
  referrerCount: 'SELECT count(*) AS referrers FROM manifest WHERE repository = ? AND subject = ?',
  candidates: `SELECT c.repository, r.path, c.digest, c.review_at FROM candidate c JOIN repository r ON r.id = c.repository
    WHERE c.review_at <= ? ORDER BY c.review_at, c.repository, c.digest LIMIT ?`,
  reviewAt: 'SELECT review_at FROM candidate WHERE repository = ? AND digest = ?',
  repositoriesAfter: `SELECT id, path FROM repository WHERE path > ?1 AND path < ?2 || '0' ORDER BY path LIMIT 1`,
  allTags: `SELECT t.name, t.digest, t.set_at, m.used_at FROM tag t JOIN manifest m ON m.repository = t.repository AND m.digest = t.digest
    WHERE t.repository = ? ORDER BY t.set_at DESC, t.name`,
  untagged: `SELECT digest FROM manifest m WHERE repository = ?1 AND pushed_at < ?2 AND digest > ?3
    AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.repository = ?1 AND t.digest = m.digest)
    AND NOT EXISTS (SELECT 1 FROM child c WHERE c.repository = ?1 AND c.child = m.digest)
    ORDER BY digest LIMIT ?4`,
  lastChange: 'SELECT previous FROM tag_history WHERE repository = ? AND tag = ? ORDER BY id DESC LIMIT 1',
  history:
    'SELECT at, digest, previous, subject, credential FROM tag_history WHERE repository = ? AND tag = ? ORDER BY id DESC LIMIT ?',
  historyAfter: 'SELECT id, repository, tag, at FROM tag_history WHERE id > ? ORDER BY id LIMIT ?',
  laterChange: 'SELECT 1 FROM tag_history WHERE repository = ? AND tag = ? AND id > ? LIMIT 1',
  removals: 'SELECT id, repository, tag, digest, credential, reason FROM removal ORDER BY id LIMIT ?',
  repositories: 'SELECT path, bytes, tags FROM repository WHERE path > ? ORDER BY path LIMIT ?',
  lastReplaced: 'SELECT max(at) AS at FROM tag_history WHERE repository = ? AND previous = ?',
  blobsAfter:
    'SELECT digest, max(size) AS size FROM blob WHERE digest > ? GROUP BY digest ORDER BY digest LIMIT ?',
  manifestsAfter: `SELECT m.id, r.path, m.digest, m.bytes FROM manifest m JOIN repository r ON r.id = m.repository
    WHERE m.id > ? ORDER BY m.id LIMIT ?`,
  pathsWithBlob: `SELECT r.path FROM blob b JOIN repository r ON r.id = b.repository WHERE b.digest = ? ORDER BY r.path`,
  tornTags: `SELECT r.path, t.name, t.digest FROM tag t JOIN repository r ON r.id = t.repository
    WHERE NOT EXISTS (SELECT 1 FROM manifest m WHERE m.repository = t.repository AND m.digest = t.digest)`,
  tornManifests: `SELECT r.path, c.parent, c.child FROM child c JOIN repository r ON r.id = c.repository
    WHERE NOT EXISTS (SELECT 1 FROM blob b WHERE b.repository = c.repository AND b.digest = c.child)
    AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.repository = c.repository AND m.digest = c.child)`,
} as const;

const CHANGE = {
  addRepository: 'INSERT INTO repository (path) VALUES (?) ON CONFLICT DO NOTHING',
  putBlob: `INSERT INTO blob (repository, digest, size, leased_until) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET leased_until = max(leased_until, excluded.leased_until)`,
  putManifest: `INSERT INTO manifest (repository, digest, media_type, size, pushed_at, used_at, subject, artifact_type, annotations, bytes)
    VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (repository, digest) DO UPDATE SET media_type = excluded.media_type, pushed_at = excluded.pushed_at,
      used_at = excluded.used_at, subject = excluded.subject, artifact_type = excluded.artifact_type, annotations = excluded.annotations`,
  putChild: 'INSERT OR IGNORE INTO child (repository, parent, child) VALUES (?, ?, ?)',
  putTag: `INSERT INTO tag (repository, name, digest, set_at) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET digest = excluded.digest, set_at = excluded.set_at`,
  addHistory:
    'INSERT INTO tag_history (repository, tag, digest, previous, at, subject, credential) VALUES (?, ?, ?, ?, ?, ?, ?)',
  removeHistory: 'DELETE FROM tag_history WHERE id = ?',
  addRemoval: 'INSERT INTO removal (repository, tag, digest, credential, reason) VALUES (?, ?, ?, ?, ?)',
  forgetRemovals: 'DELETE FROM removal WHERE id <= ?',
  boundRemovals: 'DELETE FROM removal WHERE id <= (SELECT max(id) FROM removal) - ?',
  putCandidate: `INSERT INTO candidate (repository, digest, review_at) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET review_at = max(review_at, excluded.review_at)`,
  postponeCandidate: 'UPDATE candidate SET review_at = ? WHERE repository = ? AND digest = ?',
  removeCandidate: 'DELETE FROM candidate WHERE repository = ? AND digest = ?',
  touchManifest: 'UPDATE manifest SET used_at = ? WHERE repository = ? AND digest = ?',
  removeTag: 'DELETE FROM tag WHERE repository = ? AND name = ?',
  removeManifest: 'DELETE FROM manifest WHERE repository = ? AND digest = ?',
  removeChildren: 'DELETE FROM child WHERE repository = ? AND parent = ?',
  removeBlob: 'DELETE FROM blob WHERE repository = ? AND digest = ?',
} as const;

/** The columns of each query. Only values that were parsed before are stored. */
interface Rows {
  readonly repository: { readonly id: number; readonly bytes: number; readonly tags: number };
  readonly pathOf: { readonly path: string };
  readonly used: { readonly bytes: number };
  readonly blob: { readonly size: number; readonly leased_until: number };
  readonly anyBlob: object;
  readonly manifest: {
    readonly media_type: ManifestMediaType;
    readonly size: number;
    readonly used_at: number;
    readonly bytes: Uint8Array;
  };
  readonly manifestHead: {
    readonly media_type: ManifestMediaType;
    readonly size: number;
    readonly subject: Digest | null;
    readonly pushed_at: number;
    readonly used_at: number;
  };
  readonly tag: { readonly digest: Digest; readonly set_at: number };
  readonly tagsAfter: { readonly name: Tag };
  readonly tagsOf: { readonly name: Tag; readonly set_at: number };
  readonly anyTagOf: { readonly name: Tag };
  readonly anyParent: { readonly parent: Digest };
  readonly children: { readonly child: Digest };
  readonly referrers: {
    readonly digest: Digest;
    readonly media_type: ManifestMediaType;
    readonly size: number;
    readonly artifact_type: string | null;
    readonly annotations: string | null;
  };
  readonly referrerDigests: { readonly digest: Digest };
  readonly referrerCount: { readonly referrers: number };
  readonly candidates: {
    readonly repository: number;
    readonly path: string;
    readonly digest: Digest;
    readonly review_at: number;
  };
  readonly reviewAt: { readonly review_at: number };
  readonly repositoriesAfter: { readonly id: number; readonly path: string };
  readonly allTags: {
    readonly name: Tag;
    readonly digest: Digest;
    readonly set_at: number;
    readonly used_at: number;
  };
  readonly untagged: { readonly digest: Digest };
  readonly lastChange: { readonly previous: Digest | null };
  readonly history: {
    readonly at: number;
    readonly digest: Digest | null;
    readonly previous: Digest | null;
    readonly subject: string;
    readonly credential: string;
  };
  readonly historyAfter: {
    readonly id: number;
    readonly repository: number;
    readonly tag: Tag;
    readonly at: number;
  };
  readonly laterChange: object;
  readonly removals: {
    readonly id: number;
    readonly repository: string | null;
    readonly tag: Tag | null;
    readonly digest: Digest;
    readonly credential: string;
    readonly reason: string;
  };
  readonly repositories: { readonly path: string; readonly bytes: number; readonly tags: number };
  readonly lastReplaced: { readonly at: number | null };
  readonly blobsAfter: { readonly digest: Digest; readonly size: number };
  readonly manifestsAfter: {
    readonly id: number;
    readonly path: string;
    readonly digest: Digest;
    readonly bytes: Uint8Array;
  };
  readonly pathsWithBlob: { readonly path: string };
  readonly tornTags: { readonly path: string; readonly name: Tag; readonly digest: Digest };
  readonly tornManifests: { readonly path: string; readonly parent: Digest; readonly child: Digest };
}

export interface HostedStatements {
  readonly select: Queries<Rows>;
  readonly change: Statements<typeof CHANGE>;
}

export function prepareHostedStatements(database: DatabaseSync): HostedStatements {
  return { select: prepareQueries<Rows>(database, SELECT), change: prepareChanges(database, CHANGE) };
}
