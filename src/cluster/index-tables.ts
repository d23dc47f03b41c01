/**
 * The knowledge about repositories, see `core/store/index-store.ts`, and the manifests. A change that makes
 * an answer invalid tells all nodes the name of the repository.
 */
export const INDEX_TABLES = `
CREATE TABLE hubgate.repository (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE,
  visibility text, visibility_checked_at bigint
);
CREATE TABLE hubgate.link (
  repository bigint NOT NULL REFERENCES hubgate.repository ON DELETE CASCADE, kind text NOT NULL,
  digest text COLLATE "C" NOT NULL, media_type text, public boolean NOT NULL, checked_at bigint, deleted_at bigint,
  PRIMARY KEY (repository, kind, digest)
);
CREATE INDEX link_of_digest ON hubgate.link (digest);
CREATE TABLE hubgate.tag (
  repository bigint NOT NULL REFERENCES hubgate.repository ON DELETE CASCADE, name text COLLATE "C" NOT NULL,
  digest text NOT NULL, media_type text NOT NULL, size bigint NOT NULL, checked_at bigint NOT NULL,
  public boolean NOT NULL, PRIMARY KEY (repository, name)
);
CREATE TABLE hubgate.document (
  repository bigint NOT NULL REFERENCES hubgate.repository ON DELETE CASCADE, resource text COLLATE "C" NOT NULL,
  bytes bytea NOT NULL, link text, read_at bigint NOT NULL, PRIMARY KEY (repository, resource)
);
CREATE TABLE hubgate.manifest (
  digest text COLLATE "C" PRIMARY KEY, bytes bytea NOT NULL, used_at timestamptz NOT NULL DEFAULT now()
);
CREATE FUNCTION hubgate.tell_withdrawn() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE told text;
  BEGIN
    IF TG_TABLE_NAME = 'repository' THEN
      told := OLD.name;
    ELSE
      SELECT name INTO told FROM hubgate.repository WHERE id = OLD.repository;
    END IF;
    IF told IS NOT NULL THEN
      PERFORM pg_notify('hubgate_withdrawn', told);
    END IF;
    RETURN NULL;
  END $$;
CREATE TRIGGER tell_delete AFTER DELETE ON hubgate.repository
  FOR EACH ROW EXECUTE FUNCTION hubgate.tell_withdrawn();
CREATE TRIGGER tell_private AFTER UPDATE ON hubgate.repository
  FOR EACH ROW WHEN (OLD.visibility = 'public' AND NEW.visibility = 'private')
  EXECUTE FUNCTION hubgate.tell_withdrawn();
CREATE TRIGGER tell_delete AFTER DELETE ON hubgate.link
  FOR EACH ROW EXECUTE FUNCTION hubgate.tell_withdrawn();
CREATE TRIGGER tell_delete AFTER DELETE ON hubgate.tag
  FOR EACH ROW EXECUTE FUNCTION hubgate.tell_withdrawn();
CREATE TRIGGER tell_moved AFTER UPDATE ON hubgate.tag
  FOR EACH ROW WHEN (OLD.digest <> NEW.digest) EXECUTE FUNCTION hubgate.tell_withdrawn();
`;
