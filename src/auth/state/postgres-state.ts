import type { Notifications } from '../../cluster/notifications.ts';
import { MutableValue, type ObservableValue } from '../../platform/observable-value.ts';
import type { Postgres, PostgresQueries, PostgresValue } from '../../platform/postgres.ts';
import { STATE_FILE } from '../limits.ts';
import type { AuthState, StoredCertificate, StoredLogin, StoredSession, StoredToken } from './auth-state.ts';
import { type DeviceDecision, type DeviceRow, deviceIn, type StoredDevice } from './stored-device.ts';
import type { ConfirmedPerson, StoredPerson } from './stored-person.ts';

const TOKEN = `id, owner, owner_id AS "ownerId", hash, created_at AS "createdAt", expires_at AS "expiresAt", pull, push,
  networks AS "from", last_used_at AS "lastUsedAt", last_used_from AS "lastUsedFrom", warned_at AS "warnedAt", label`;
const LOGIN = `id, "user", hash, credential, client, created_at AS "createdAt", expires_at AS "expiresAt",
  last_used_at AS "lastUsedAt"`;
const SESSION = `hash, "user", login, created_at AS "createdAt", used_at AS "usedAt", expires_at AS "expiresAt",
  authenticated_at AS "authenticatedAt", credential, sid`;
const CERTIFICATE = `fingerprint, tbs_hash AS "tbsHash", name, serial, issued_at AS "issuedAt",
  expires_at AS "expiresAt", revoked_at AS "revokedAt"`;

const PERSON = `name, login, stable_id AS "stableId", group_names AS "groups", confirmed_at AS "confirmedAt",
  refused_at AS "refusedAt", refresh, sid, linked_at AS "linkedAt",
  named_at AS "namedAt"`;

/** Any number, the same in every release: the tokens of one owner are counted one after the other. */
const OWNER_LOCK = 7_143_922;

/** The database ends the transaction of a node that is frozen or cut off. */
const BEGIN_CHANGE =
  'BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 2000';

type PostgresTokenRow = Omit<StoredToken, 'push'> & { readonly push: readonly string[] | null };

export interface PostgresStateOptions {
  readonly database: Postgres;
  readonly notifications: Notifications;
  /** Ends with the state, which first writes what is left. Absent if it has another owner. */
  readonly connection?: AsyncDisposable;
}

/**
 * Returns the state of auth in the database of a cluster. A change by any node counts here at once, because
 * every question is asked of the database, and whoever caches an answer follows `changes`.
 */
export function createPostgresState(options: PostgresStateOptions): AuthState {
  return new PostgresState(options);
}

interface PostgresUse {
  readonly sql: string;
  readonly values: readonly PostgresValue[];
}

class PostgresState implements AuthState {
  readonly #database: Postgres;
  readonly #connection: AsyncDisposable | undefined;
  readonly #changes = new MutableValue(0);
  /** The last use of each credential, until it is written. */
  readonly #uses = new Map<string, PostgresUse>();
  #writing: NodeJS.Timeout | undefined;

  constructor({ database, notifications, connection }: PostgresStateOptions) {
    this.#database = database;
    this.#connection = connection;
    notifications.on('auth', () => this.#changed());
  }

  get changes(): ObservableValue<number> {
    return this.#changes;
  }

  async tokens(): Promise<readonly StoredToken[]> {
    const rows = await this.#database.rows<PostgresTokenRow>(
      `SELECT ${TOKEN} FROM hubgate.token ORDER BY created_at, id`,
    );
    return rows.map(tokenIn);
  }

  async token(id: string): Promise<StoredToken | undefined> {
    const row = await this.#find<PostgresTokenRow>(`SELECT ${TOKEN} FROM hubgate.token WHERE id = $1`, [id]);
    return row && tokenIn(row);
  }

  async putToken(token: StoredToken, most?: number): Promise<boolean> {
    const isPut = await this.#database.transaction(async (queries) => {
      if (most !== undefined && (await countTokensOf(token, queries)) >= most) return false;
      await putToken(token, queries);
      return true;
    }, BEGIN_CHANGE);
    if (isPut) this.#changed();
    return isPut;
  }

  removeToken(id: string): Promise<boolean> {
    return this.#change('DELETE FROM hubgate.token WHERE id = $1', [id]);
  }

  async useToken(id: string, at: number, from: string): Promise<void> {
    this.#use('UPDATE hubgate.token SET last_used_at = $2, last_used_from = $3 WHERE id = $1', [
      id,
      at,
      from,
    ]);
  }

  async warnedOfToken(id: string, at: number): Promise<void> {
    this.#use('UPDATE hubgate.token SET warned_at = $2 WHERE id = $1', [id, at]);
  }

  async logins(): Promise<readonly StoredLogin[]> {
    return this.#database.rows<StoredLogin>(`SELECT ${LOGIN} FROM hubgate.login ORDER BY created_at, id`);
  }

  login(id: string): Promise<StoredLogin | undefined> {
    return this.#find<StoredLogin>(`SELECT ${LOGIN} FROM hubgate.login WHERE id = $1`, [id]);
  }

  async putLogin(login: StoredLogin): Promise<void> {
    const { id, user, hash, credential, client, createdAt, expiresAt, lastUsedAt } = login;
    await this.#change(
      `INSERT INTO hubgate.login (id, "user", hash, credential, client, created_at, expires_at, last_used_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [id, user, hash, credential, client, createdAt, expiresAt, lastUsedAt],
    );
  }

  removeLogin(id: string): Promise<boolean> {
    return this.#change('DELETE FROM hubgate.login WHERE id = $1', [id]);
  }

  async useLogin(id: string, at: number): Promise<void> {
    this.#use('UPDATE hubgate.login SET last_used_at = $2 WHERE id = $1', [id, at]);
  }

  async sessions(): Promise<readonly StoredSession[]> {
    return this.#database.rows<StoredSession>(
      `SELECT ${SESSION} FROM hubgate.session ORDER BY created_at, hash`,
    );
  }

  session(hash: string): Promise<StoredSession | undefined> {
    return this.#find<StoredSession>(`SELECT ${SESSION} FROM hubgate.session WHERE hash = $1`, [hash]);
  }

  async putSession(session: StoredSession): Promise<void> {
    const { hash, user, login, createdAt, usedAt, expiresAt, authenticatedAt, credential, sid } = session;
    await this.#database.change(
      `INSERT INTO hubgate.session (hash, "user", login, created_at, used_at, expires_at, authenticated_at, credential, sid)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [hash, user, login, createdAt, usedAt, expiresAt, authenticatedAt, credential, sid],
    );
  }

  async removeSession(hash: string): Promise<boolean> {
    return (await this.#database.change('DELETE FROM hubgate.session WHERE hash = $1', [hash])) > 0;
  }

  async useSession(hash: string, at: number): Promise<void> {
    this.#use('UPDATE hubgate.session SET used_at = $2 WHERE hash = $1', [hash, at]);
  }

  async devices(): Promise<readonly StoredDevice[]> {
    const rows = await this.#database.rows<DeviceRow>(
      'SELECT * FROM hubgate.device ORDER BY created_at, hash',
    );
    return rows.map(deviceIn);
  }

  async device(hash: string): Promise<StoredDevice | undefined> {
    const sql = 'SELECT * FROM hubgate.device WHERE hash = $1';
    const row = await this.#find<DeviceRow>(sql, [hash]);
    return row && deviceIn(row);
  }

  async deviceOf(userCode: string): Promise<StoredDevice | undefined> {
    const sql = 'SELECT * FROM hubgate.device WHERE user_code = $1';
    const row = await this.#find<DeviceRow>(sql, [userCode]);
    return row && deviceIn(row);
  }

  async putDevice({ hash, userCode, machine, address, createdAt, expiresAt }: StoredDevice): Promise<void> {
    await this.#database.change(
      `INSERT INTO hubgate.device (hash, user_code, machine, address, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6)`,
      [hash, userCode, machine, address, createdAt, expiresAt],
    );
  }

  async decideDevice(hash: string, { user, login, ownerId, isApproved }: DeviceDecision): Promise<boolean> {
    const decided = await this.#database.change(
      `UPDATE hubgate.device SET decided_by = $2, login = $3, owner_id = $4, approved = $5
        WHERE hash = $1 AND decided_by IS NULL`,
      [hash, user, login, ownerId, isApproved ? 1 : 0],
    );
    return decided > 0;
  }

  async removeDevice(hash: string): Promise<boolean> {
    return (await this.#database.change('DELETE FROM hubgate.device WHERE hash = $1', [hash])) > 0;
  }

  async certificates(): Promise<readonly StoredCertificate[]> {
    return this.#database.rows<StoredCertificate>(
      `SELECT ${CERTIFICATE} FROM hubgate.certificate ORDER BY issued_at, fingerprint`,
    );
  }

  async putCertificate(certificate: StoredCertificate): Promise<void> {
    const { fingerprint, tbsHash, name, serial, issuedAt, expiresAt, revokedAt } = certificate;
    await this.#change(
      `INSERT INTO hubgate.certificate (fingerprint, tbs_hash, name, serial, issued_at, expires_at, revoked_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [fingerprint, tbsHash, name, serial, issuedAt, expiresAt, revokedAt],
    );
  }

  revokeCertificate(fingerprint: string, at: number): Promise<boolean> {
    return this.#change(
      'UPDATE hubgate.certificate SET revoked_at = $2 WHERE fingerprint = $1 AND revoked_at IS NULL',
      [fingerprint, at],
    );
  }

  people(): Promise<readonly StoredPerson[]> {
    return this.#database.rows<StoredPerson>(`SELECT ${PERSON} FROM hubgate.person ORDER BY name`);
  }

  person(name: string): Promise<StoredPerson | undefined> {
    const sql = `SELECT ${PERSON} FROM hubgate.person WHERE name = $1`;
    return this.#find<StoredPerson>(sql, [name]);
  }

  personOf(login: string, stableId: string): Promise<StoredPerson | undefined> {
    const sql = `SELECT ${PERSON} FROM hubgate.person WHERE login = $1 AND stable_id = $2`;
    return this.#find<StoredPerson>(sql, [login, stableId]);
  }

  async putPerson(person: StoredPerson): Promise<void> {
    await this.#change(
      `INSERT INTO hubgate.person (name, stable_id, group_names, confirmed_at, refused_at, refresh, sid, linked_at, named_at,
        login) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      valuesOf(person),
    );
  }

  updatePerson(before: string, person: StoredPerson, refusedBefore?: number | null): Promise<boolean> {
    return this.#change(
      `UPDATE hubgate.person SET name = $1, stable_id = $2, group_names = $3, confirmed_at = $4, refused_at = $5,
        refresh = $6, sid = $7, linked_at = $8, named_at = $9
        WHERE login = $10 AND name = $11 AND coalesce(stable_id, $2) IS NOT DISTINCT FROM $2
        AND ($12::boolean OR refused_at IS NOT DISTINCT FROM $13::bigint)`,
      [...valuesOf(person), before, refusedBefore === undefined, refusedBefore ?? null],
    );
  }

  async confirmPeople(login: string, people: readonly ConfirmedPerson[], at: number): Promise<void> {
    await this.#change(
      `UPDATE hubgate.person AS person SET confirmed_at = $1, refresh = coalesce(nullif(one.refresh, ''), person.refresh)
        FROM unnest($3::text[], $4::text[]) AS one(name, refresh)
        WHERE person.name = one.name AND login = $2 AND refused_at IS NULL`,
      [at, login, people.map(({ name }) => name), people.map(({ refresh }) => refresh ?? '')],
    );
  }

  removePerson(name: string): Promise<boolean> {
    return this.#change('DELETE FROM hubgate.person WHERE name = $1', [name]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _ = this.#connection;
    await this.#writeUses();
  }

  /** Resolves to the first row. PostgreSQL keeps no NUL character, so nothing has an id with one. */
  async #find<Row extends object>(sql: string, values: readonly string[]): Promise<Row | undefined> {
    if (values.some((value) => value.includes('\0'))) return undefined;
    const [row] = await this.#database.rows<Row>(sql, values);
    return row;
  }

  #changed(): void {
    this.#changes.set(this.#changes.current + 1);
  }

  async #change(sql: string, values: readonly PostgresValue[]): Promise<boolean> {
    const isDone = (await this.#database.change(sql, values)) > 0;
    // The notification comes too. This process need not wait for it.
    if (isDone) this.#changed();
    return isDone;
  }

  #use(sql: string, values: readonly PostgresValue[]): void {
    this.#uses.set(`${sql} ${values[0]}`, { sql, values });
    this.#writing ??= setTimeout(() => void this.#writeUses(), STATE_FILE.writeUsesAfter).unref();
  }

  /** Writes uses, which only inform. A database that is away is no reason to refuse a login. */
  async #writeUses(): Promise<void> {
    clearTimeout(this.#writing);
    this.#writing = undefined;
    const uses = [...this.#uses.values()];
    this.#uses.clear();
    for (const { sql, values } of uses) {
      try {
        await this.#database.change(sql, values);
      } catch {
        // A write that matters reports the same problem.
        return;
      }
    }
  }
}

function valuesOf(person: StoredPerson): readonly PostgresValue[] {
  const { name, login, stableId, groups, confirmedAt, refusedAt, refresh, sid, linkedAt, namedAt } = person;
  return [name, stableId, groups, confirmedAt, refusedAt, refresh, sid, linkedAt, namedAt, login];
}

/**
 * Counts the tokens of an owner. Nobody else does so until the transaction is over, and each statement after
 * the lock sees what was committed before.
 */
async function countTokensOf({ owner, ownerId }: StoredToken, queries: PostgresQueries): Promise<number> {
  await queries.rows('SELECT pg_advisory_xact_lock($1::int, hashtext($2))', [OWNER_LOCK, ownerId ?? owner]);
  const [row] = await queries.rows<{ count: number }>(
    `SELECT count(*) AS count FROM hubgate.token
      WHERE owner_id IS NOT DISTINCT FROM $2::text AND (owner = $1 OR $2 LIKE '%/%')`,
    [owner, ownerId],
  );
  return row?.count ?? 0;
}

async function putToken(token: StoredToken, queries: PostgresQueries): Promise<void> {
  const { id, owner, ownerId, hash, createdAt, expiresAt, pull, push = null, from } = token;
  await queries.change(
    `INSERT INTO hubgate.token (id, owner, owner_id, hash, created_at, expires_at, pull, push, networks, last_used_at,
      last_used_from, warned_at, label) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
    [
      ...[id, owner, ownerId, hash, createdAt, expiresAt, pull, push, from],
      ...[token.lastUsedAt, token.lastUsedFrom, token.warnedAt, token.label],
    ],
  );
}

function tokenIn({ push, ...token }: PostgresTokenRow): StoredToken {
  return { ...token, ...(push !== null && { push }) };
}
