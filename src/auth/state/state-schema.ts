import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { prepareQuery } from '../../platform/sqlite-query.ts';
import type { StoredLogin, StoredSession, StoredToken } from './auth-state.ts';
import { DEVICE_TABLE, type DeviceRow } from './stored-device.ts';
import { PERSON_NAMED, PERSON_TABLE, type PersonRow } from './stored-person.ts';

export const STATE_VERSION = 8;

const SESSION_TABLE = `
  CREATE TABLE session (
    hash TEXT PRIMARY KEY, user TEXT NOT NULL, login TEXT, created_at INTEGER NOT NULL, used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, authenticated_at INTEGER NOT NULL, credential TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

const SESSION_SID = 'ALTER TABLE session ADD COLUMN sid TEXT;';

export const STATE_SCHEMA = `
  CREATE TABLE token (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, hash TEXT NOT NULL, created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, pull TEXT, networks TEXT, last_used_at INTEGER, last_used_from TEXT,
    owner_id TEXT, warned_at INTEGER, push TEXT, label TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE login (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, hash TEXT NOT NULL, credential TEXT NOT NULL, client TEXT NOT NULL,
    created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, last_used_at INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE certificate (
    fingerprint TEXT PRIMARY KEY, tbs_hash TEXT NOT NULL, name TEXT NOT NULL, serial TEXT NOT NULL,
    issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, revoked_at INTEGER
  ) STRICT, WITHOUT ROWID;
  ${PERSON_TABLE}
  ${PERSON_NAMED}
  ${SESSION_TABLE}
  ${SESSION_SID}
  ${DEVICE_TABLE}
  PRAGMA user_version = ${STATE_VERSION};
`;

/** The columns and tables that were added after each version. */
export const STATE_ADDITIONS: Readonly<Record<number, string>> = {
  1: 'ALTER TABLE token ADD COLUMN owner_id TEXT; ALTER TABLE token ADD COLUMN warned_at INTEGER;',
  2: 'ALTER TABLE token ADD COLUMN push TEXT;',
  3: PERSON_TABLE,
  4: `ALTER TABLE token ADD COLUMN label TEXT; ${SESSION_TABLE}`,
  5: DEVICE_TABLE,
  6: SESSION_SID,
  7: PERSON_NAMED,
};

/** Returns the statements that bring a state of an earlier version up to date. */
export function upgradeFrom(version: number): string {
  const steps = Object.keys(STATE_ADDITIONS).filter((one) => Number(one) >= version);
  const additions = steps.map((one) => STATE_ADDITIONS[Number(one)]).join(' ');
  return `${additions} PRAGMA user_version = ${STATE_VERSION};`;
}

interface TokenRow {
  readonly id: string;
  readonly owner: string;
  readonly hash: string;
  readonly created_at: number;
  readonly expires_at: number;
  readonly pull: string | null;
  readonly networks: string | null;
  readonly last_used_at: number | null;
  readonly last_used_from: string | null;
  readonly owner_id: string | null;
  readonly warned_at: number | null;
  readonly push: string | null;
  readonly label: string | null;
}

interface LoginRow {
  readonly id: string;
  readonly user: string;
  readonly hash: string;
  readonly credential: string;
  readonly client: string;
  readonly created_at: number;
  readonly expires_at: number;
  readonly last_used_at: number | null;
}

interface SessionRow {
  readonly hash: string;
  readonly user: string;
  readonly login: string | null;
  readonly created_at: number;
  readonly used_at: number;
  readonly expires_at: number;
  readonly authenticated_at: number;
  readonly credential: string;
  readonly sid: string | null;
}

interface CertificateRow {
  readonly fingerprint: string;
  readonly tbs_hash: string;
  readonly name: string;
  readonly serial: string;
  readonly issued_at: number;
  readonly expires_at: number;
  readonly revoked_at: number | null;
}

/** The queries, each of which is prepared when it is first used. */
export type StateQueries = ReturnType<typeof queriesOf>;

export function queriesOf(database: DatabaseSync) {
  const query = <Row>(sql: string) => lazy(() => prepareQuery<Row>(database, sql));
  return {
    tokens: query<TokenRow>('SELECT * FROM token ORDER BY created_at, id'),
    token: query<TokenRow>('SELECT * FROM token WHERE id = ?'),
    logins: query<LoginRow>('SELECT * FROM login ORDER BY created_at, id'),
    login: query<LoginRow>('SELECT * FROM login WHERE id = ?'),
    sessions: query<SessionRow>('SELECT * FROM session ORDER BY created_at, hash'),
    session: query<SessionRow>('SELECT * FROM session WHERE hash = ?'),
    devices: query<DeviceRow>('SELECT * FROM device ORDER BY created_at, hash'),
    device: query<DeviceRow>('SELECT * FROM device WHERE hash = ?'),
    deviceOf: query<DeviceRow>('SELECT * FROM device WHERE user_code = ?'),
    certificates: query<CertificateRow>('SELECT * FROM certificate ORDER BY issued_at, fingerprint'),
    people: query<PersonRow>('SELECT * FROM person ORDER BY name'),
    person: query<PersonRow>('SELECT * FROM person WHERE name = ?'),
    personOf: query<PersonRow>('SELECT * FROM person WHERE login = ? AND stable_id = ?'),
    dataVersion: query<{ readonly data_version: number }>('PRAGMA data_version'),
  };
}

function lazy<Value>(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

export function tokenIn(row: TokenRow): StoredToken {
  const push = listIn(row.push);
  return {
    id: row.id,
    owner: row.owner,
    hash: row.hash,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    pull: listIn(row.pull),
    ...(push !== null && { push }),
    from: listIn(row.networks),
    lastUsedAt: row.last_used_at,
    lastUsedFrom: row.last_used_from,
    ownerId: row.owner_id,
    warnedAt: row.warned_at,
    label: row.label,
  };
}

export function loginIn(row: LoginRow): StoredLogin {
  return {
    id: row.id,
    user: row.user,
    hash: row.hash,
    credential: row.credential,
    client: row.client,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
  };
}

export function sessionIn(row: SessionRow): StoredSession {
  return {
    hash: row.hash,
    user: row.user,
    login: row.login,
    createdAt: row.created_at,
    usedAt: row.used_at,
    expiresAt: row.expires_at,
    authenticatedAt: row.authenticated_at,
    credential: row.credential,
    sid: row.sid,
  };
}

const LIST = z.array(z.string());

export function textOf(list: readonly string[] | null): string | null {
  return list === null ? null : JSON.stringify(list);
}

function listIn(text: string | null): readonly string[] | null {
  return text === null ? null : LIST.parse(JSON.parse(text));
}
