/**
 * The tables of nodes and of what they download. All times in them are those of the database, so the clocks
 * of the nodes are never compared.
 */
export const NODE_TABLES = `
CREATE SEQUENCE hubgate.fence;
CREATE TABLE hubgate.node (
  id text COLLATE "C" PRIMARY KEY, run text NOT NULL, address text NOT NULL, certificate text NOT NULL,
  version text NOT NULL, began_at timestamptz NOT NULL DEFAULT now(), beat_at timestamptz NOT NULL DEFAULT now(),
  is_draining boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
CREATE TABLE hubgate.download (
  digest text COLLATE "C" PRIMARY KEY, node text NOT NULL, fence bigint NOT NULL, lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE hubgate.copy (
  digest text COLLATE "C" NOT NULL, node text NOT NULL, PRIMARY KEY (digest, node)
);
CREATE INDEX copy_of_node ON hubgate.copy (node);
`;
