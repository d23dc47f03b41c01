/** The tables of auth, see `auth/state`. A change of a row that matters tells all nodes; a use does not. */
export const AUTH_TABLES = `
CREATE TABLE hubgate.token (
  id text COLLATE "C" PRIMARY KEY, owner text NOT NULL, owner_id text, hash text NOT NULL,
  created_at bigint NOT NULL, expires_at bigint NOT NULL, pull text[], push text[], networks text[],
  last_used_at bigint, last_used_from text, warned_at bigint
);
CREATE TABLE hubgate.login (
  id text COLLATE "C" PRIMARY KEY, "user" text NOT NULL, hash text NOT NULL, credential text NOT NULL,
  client text NOT NULL, created_at bigint NOT NULL, expires_at bigint NOT NULL, last_used_at bigint
);
CREATE TABLE hubgate.certificate (
  fingerprint text COLLATE "C" PRIMARY KEY, tbs_hash text NOT NULL, name text NOT NULL, serial text NOT NULL,
  issued_at bigint NOT NULL, expires_at bigint NOT NULL, revoked_at bigint
);
CREATE TABLE hubgate.signing_key (
  node text COLLATE "C" NOT NULL, kid text NOT NULL, jwk jsonb NOT NULL, PRIMARY KEY (node, kid)
);
CREATE FUNCTION hubgate.tell_auth() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_notify('hubgate_auth', TG_TABLE_NAME);
    RETURN NULL;
  END $$;
CREATE TRIGGER tell AFTER INSERT OR DELETE OR UPDATE OF hash, expires_at, pull, push, networks ON hubgate.token
  FOR EACH STATEMENT EXECUTE FUNCTION hubgate.tell_auth();
CREATE TRIGGER tell AFTER INSERT OR DELETE ON hubgate.signing_key
  FOR EACH STATEMENT EXECUTE FUNCTION hubgate.tell_auth();
CREATE TRIGGER tell AFTER INSERT OR DELETE ON hubgate.login
  FOR EACH STATEMENT EXECUTE FUNCTION hubgate.tell_auth();
CREATE TRIGGER tell AFTER INSERT OR DELETE OR UPDATE OF revoked_at ON hubgate.certificate
  FOR EACH STATEMENT EXECUTE FUNCTION hubgate.tell_auth();
`;

/** The people of directories. Each confirmation of many people is one change. */
export const PERSON_TABLES = `
CREATE TABLE hubgate.person (
  name text COLLATE "C" PRIMARY KEY, login text NOT NULL, stable_id text, group_names text[] NOT NULL,
  confirmed_at bigint NOT NULL, refused_at bigint, refresh text, sid text, linked_at bigint,
  UNIQUE (login, stable_id)
);
CREATE TRIGGER tell AFTER INSERT OR DELETE OR UPDATE ON hubgate.person
  FOR EACH STATEMENT EXECUTE FUNCTION hubgate.tell_auth();
`;

/**
 * The labels of tokens, the sessions of the account page, and the machines that wait; no node caches these.
 */
export const ACCOUNT_TABLES = `
ALTER TABLE hubgate.token ADD COLUMN label text;
CREATE TABLE hubgate.session (
  hash text COLLATE "C" PRIMARY KEY, "user" text NOT NULL, login text, created_at bigint NOT NULL,
  used_at bigint NOT NULL, expires_at bigint NOT NULL, authenticated_at bigint NOT NULL, credential text NOT NULL
);
CREATE TABLE hubgate.device (
  hash text COLLATE "C" PRIMARY KEY, user_code text NOT NULL UNIQUE, machine text NOT NULL, address text NOT NULL,
  created_at bigint NOT NULL, expires_at bigint NOT NULL, decided_by text, login text, owner_id text, approved int
);
`;

/** The session at the identity provider to which a session of the account page belongs. */
export const SESSION_SIDS = 'ALTER TABLE hubgate.session ADD COLUMN sid text;';

/** The time since which a name is that of a person. */
export const PERSON_NAMES = 'ALTER TABLE hubgate.person ADD COLUMN named_at bigint;';

/** The logout tokens that have counted. */
export const LOGOUT_TABLES = `
CREATE TABLE hubgate.used_logout (id text COLLATE "C" PRIMARY KEY, until timestamptz NOT NULL);
`;

/** The key that seals the refresh tokens of people, and the nodes that ask about them at the moment. */
export const DIRECTORY_TABLES = `
CREATE TABLE hubgate.login_key (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only), key text NOT NULL
);
CREATE TABLE hubgate.confirmation (
  person text COLLATE "C" PRIMARY KEY, node text NOT NULL, until timestamptz NOT NULL
);
`;
