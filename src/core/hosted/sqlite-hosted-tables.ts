/**
 * The tables of the hosted repositories in SQLite. Those of a cluster are in `cluster/hosted-tables.ts`.
 */
import { MOST_TAG_CHANGES } from './hosted-statements.ts';

export const HOSTED_SCHEMA_VERSION = 1;

/**
 * SQLite itself counts the bytes and tags of a repository by triggers, in the transaction that changes them,
 * so the counts cannot drift.
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
 * A database of an earlier version lacks these: the table of the removals that the audit log does not have
 * yet, and the bound on the changes of one tag. An earlier version of Hubgate ignores them.
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
