/**
 * The content that a node is still to remove from its disk, because somebody has purged it or no hosted
 * repository has it any more. The row of a node that is away waits for it.
 */
export const PURGE_TABLES = `
CREATE TABLE hubgate.purge (
  node text COLLATE "C" NOT NULL REFERENCES hubgate.node ON DELETE CASCADE, digest text COLLATE "C" NOT NULL,
  fence bigint NOT NULL DEFAULT nextval('hubgate.fence'), PRIMARY KEY (node, digest)
);
CREATE FUNCTION hubgate.tell_purged() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_notify('hubgate_purged', '');
    RETURN NULL;
  END $$;
CREATE TRIGGER tell_purged AFTER INSERT OR UPDATE ON hubgate.purge
  FOR EACH STATEMENT EXECUTE FUNCTION hubgate.tell_purged();
`;
