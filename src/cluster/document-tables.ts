/** The hand-written documents that all nodes share. */
export const DOCUMENT_TABLES = `
CREATE TABLE hubgate.shared_document (
  name text COLLATE "C" PRIMARY KEY, version bigint NOT NULL, text text NOT NULL, node text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);
CREATE FUNCTION hubgate.tell_document() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_notify('hubgate_documents', NEW.name);
    RETURN NULL;
  END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON hubgate.shared_document
  FOR EACH ROW EXECUTE FUNCTION hubgate.tell_document();
`;
