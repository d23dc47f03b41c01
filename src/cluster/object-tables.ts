/**
 * The objects in the object store. A row is made when its object is there, and goes before its object does.
 * The key of an object ends with a fence, so an object is never written twice.
 */
export const OBJECT_TABLES = `
CREATE TABLE hubgate.object (
  digest text COLLATE "C" PRIMARY KEY, key text COLLATE "C" NOT NULL UNIQUE, size bigint NOT NULL,
  used_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX object_used ON hubgate.object (used_at);
CREATE TABLE hubgate.removed_object (
  key text COLLATE "C" PRIMARY KEY, removed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE hubgate.object_store (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only), owner text NOT NULL, swept_at timestamptz
);
ALTER TABLE hubgate.node ADD COLUMN pending_uploads integer NOT NULL DEFAULT 0;
`;
