/**
 * The tables of the hosted repositories, see `core/hosted/hosted-queries.ts`. A change of them holds a lock
 * for all changes, so two changes are never at work at the same time. The database itself counts the bytes
 * and tags of a repository, in the transaction that changes them. All times in them are those of the nodes,
 * in milliseconds.
 */
export const HOSTED_CLUSTER_TABLES = `
CREATE TABLE hubgate.hosted_repository (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, path text COLLATE "C" NOT NULL UNIQUE,
  bytes bigint NOT NULL DEFAULT 0, tags bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE hubgate.hosted_content (
  digest text COLLATE "C" PRIMARY KEY, size bigint NOT NULL, object text COLLATE "C" UNIQUE
);
CREATE TABLE hubgate.hosted_blob (
  repository bigint NOT NULL REFERENCES hubgate.hosted_repository ON DELETE CASCADE,
  digest text COLLATE "C" NOT NULL, size bigint NOT NULL, leased_until bigint NOT NULL,
  PRIMARY KEY (repository, digest)
);
CREATE INDEX hosted_blob_digest ON hubgate.hosted_blob (digest);
CREATE TABLE hubgate.hosted_manifest (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  repository bigint NOT NULL REFERENCES hubgate.hosted_repository ON DELETE CASCADE,
  digest text COLLATE "C" NOT NULL, media_type text NOT NULL, size bigint NOT NULL, pushed_at bigint NOT NULL,
  used_at bigint NOT NULL, subject text COLLATE "C", artifact_type text COLLATE "C", annotations text,
  bytes bytea NOT NULL, UNIQUE (repository, digest)
);
CREATE INDEX hosted_manifest_subject ON hubgate.hosted_manifest (repository, subject, digest)
  WHERE subject IS NOT NULL;
CREATE TABLE hubgate.hosted_child (
  repository bigint NOT NULL REFERENCES hubgate.hosted_repository ON DELETE CASCADE,
  parent text COLLATE "C" NOT NULL, child text COLLATE "C" NOT NULL, PRIMARY KEY (repository, parent, child)
);
CREATE INDEX hosted_child_parents ON hubgate.hosted_child (repository, child);
CREATE TABLE hubgate.hosted_tag (
  repository bigint NOT NULL REFERENCES hubgate.hosted_repository ON DELETE CASCADE,
  name text COLLATE "C" NOT NULL, digest text COLLATE "C" NOT NULL, set_at bigint NOT NULL,
  PRIMARY KEY (repository, name)
);
CREATE INDEX hosted_tag_digest ON hubgate.hosted_tag (repository, digest);
CREATE TABLE hubgate.hosted_tag_history (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  repository bigint NOT NULL REFERENCES hubgate.hosted_repository ON DELETE CASCADE,
  tag text COLLATE "C" NOT NULL, digest text COLLATE "C", previous text COLLATE "C", at bigint NOT NULL,
  subject text NOT NULL, credential text NOT NULL
);
CREATE INDEX hosted_tag_history_tag ON hubgate.hosted_tag_history (repository, tag, id);
CREATE INDEX hosted_tag_history_previous ON hubgate.hosted_tag_history (repository, previous, at)
  WHERE previous IS NOT NULL;
CREATE TABLE hubgate.hosted_candidate (
  repository bigint NOT NULL REFERENCES hubgate.hosted_repository ON DELETE CASCADE,
  digest text COLLATE "C" NOT NULL, review_at bigint NOT NULL, PRIMARY KEY (repository, digest)
);
CREATE INDEX hosted_candidate_review ON hubgate.hosted_candidate (review_at);
CREATE TABLE hubgate.hosted_removal (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, repository text, tag text, digest text NOT NULL,
  credential text NOT NULL, reason text NOT NULL
);
CREATE FUNCTION hubgate.count_hosted_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF TG_OP = 'INSERT' THEN
      UPDATE hubgate.hosted_repository SET bytes = bytes + NEW.size WHERE id = NEW.repository;
    ELSE
      UPDATE hubgate.hosted_repository SET bytes = bytes - OLD.size WHERE id = OLD.repository;
    END IF;
    RETURN NULL;
  END $$;
CREATE TRIGGER count_bytes AFTER INSERT OR DELETE ON hubgate.hosted_blob
  FOR EACH ROW EXECUTE FUNCTION hubgate.count_hosted_bytes();
CREATE TRIGGER count_bytes AFTER INSERT OR DELETE ON hubgate.hosted_manifest
  FOR EACH ROW EXECUTE FUNCTION hubgate.count_hosted_bytes();
CREATE FUNCTION hubgate.count_hosted_tags() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF TG_OP = 'INSERT' THEN
      UPDATE hubgate.hosted_repository SET tags = tags + 1 WHERE id = NEW.repository;
    ELSE
      UPDATE hubgate.hosted_repository SET tags = tags - 1 WHERE id = OLD.repository;
    END IF;
    RETURN NULL;
  END $$;
CREATE TRIGGER count_tags AFTER INSERT OR DELETE ON hubgate.hosted_tag
  FOR EACH ROW EXECUTE FUNCTION hubgate.count_hosted_tags();
CREATE FUNCTION hubgate.bound_hosted_history() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    DELETE FROM hubgate.hosted_tag_history WHERE repository = NEW.repository AND tag = NEW.tag AND id <= (
      SELECT id FROM hubgate.hosted_tag_history WHERE repository = NEW.repository AND tag = NEW.tag
      ORDER BY id DESC LIMIT 1 OFFSET 1000);
    RETURN NULL;
  END $$;
CREATE TRIGGER bound_history AFTER INSERT ON hubgate.hosted_tag_history
  FOR EACH ROW EXECUTE FUNCTION hubgate.bound_hosted_history();
`;
