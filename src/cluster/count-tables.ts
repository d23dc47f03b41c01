/**
 * These tables hold what the nodes have counted of quotas and limits. Each node writes its own rows, and the
 * number of the change tells the others what is new.
 */
export const COUNT_TABLES = `
CREATE SEQUENCE hubgate.count_change;
CREATE TABLE hubgate.count (
  node text COLLATE "C" NOT NULL, kind text NOT NULL, owner text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL,
  window_ms double precision NOT NULL, buckets text NOT NULL, change bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (node, kind, owner, key)
) WITH (fillfactor = 70);
CREATE INDEX count_of_change ON hubgate.count (change);
CREATE TABLE hubgate.quota_reading (
  owner text COLLATE "C" PRIMARY KEY, said text NOT NULL, read_at bigint NOT NULL
);
`;
