import { chmodSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { diskFailure } from '../../platform/disk-failure.ts';
import { MutableValue, type ObservableValue } from '../../platform/observable-value.ts';
import { pollAndWatch } from '../../platform/poll-and-watch.ts';
import { asError } from '../../platform/reason.ts';
import { schemaVersion } from '../../platform/sqlite-query.ts';
import { STATE_FILE } from '../limits.ts';
import type { AuthState, StoredCertificate, StoredLogin, StoredSession, StoredToken } from './auth-state.ts';
import {
  loginIn,
  queriesOf,
  STATE_ADDITIONS,
  STATE_SCHEMA,
  STATE_VERSION,
  type StateQueries,
  sessionIn,
  textOf,
  tokenIn,
  upgradeFrom,
} from './state-schema.ts';
import { type DeviceDecision, deviceIn, type StoredDevice } from './stored-device.ts';
import { type ConfirmedPerson, personIn, type StoredPerson } from './stored-person.ts';

/**
 * Opens the state in one SQLite file, or creates it. Several processes may have it open. Each change is a
 * transaction of its own, which is synced before it counts.
 * @throws if the file cannot be used. No new file replaces it, because revoked credentials would then be
 * valid again.
 */
export function openAuthState(file: string, busyTimeout = STATE_FILE.busy): AuthState {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o750 });
  try {
    return new SqliteState(file, busyTimeout);
  } catch (error) {
    throw new Error(`${file} cannot be used: ${whyUnusable(file, asError(error))}`, { cause: error });
  }
}

function whyUnusable(file: string, error: Error): string {
  const reason = diskFailure(file, error);
  if (reason === undefined) return error.message;
  return `${reason}; make room on the disk of ${path.dirname(file)}, or make it writable: users cannot be authenticated without this file`;
}

interface SqliteUse {
  readonly sql: string;
  readonly values: readonly SQLInputValue[];
}

class SqliteState implements AuthState {
  readonly #database: DatabaseSync;
  readonly #changes = new MutableValue(0);
  readonly #queries: StateQueries;
  readonly #polling: Disposable;
  readonly #statements = new Map<string, StatementSync>();
  /** The last use of each credential, until it is written. */
  readonly #uses = new Map<string, SqliteUse>();
  #writing: NodeJS.Timeout | undefined;
  #checkpointing: NodeJS.Timeout | undefined;
  #seen: unknown;

  constructor(file: string, busyTimeout: number) {
    this.#database = new DatabaseSync(file, { timeout: busyTimeout });
    try {
      chmodSync(file, 0o600);
      this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE');
      const version = schemaVersion(this.#database);
      if (version === 0) this.#database.exec(STATE_SCHEMA);
      else if (version in STATE_ADDITIONS) this.#database.exec(upgradeFrom(version));
      else if (version !== STATE_VERSION) throw new Error(`its version is ${version}`);
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.close();
      throw error;
    }
    // A killed process may have left a write-ahead log. The mode is PASSIVE, because other readers would take
    // a TRUNCATE for a change.
    this.#isCheckpointed('PASSIVE');
    this.#queries = queriesOf(this.#database);
    this.#seen = this.#dataVersion();
    // A change by another process is written to this file first.
    const watched = [`${file}-wal`];
    this.#polling = pollAndWatch({ watched, interval: STATE_FILE.lookEvery, task: async () => this.#look() });
  }

  get changes(): ObservableValue<number> {
    return this.#changes;
  }

  async tokens(): Promise<readonly StoredToken[]> {
    return this.#queries.tokens().all().map(tokenIn);
  }

  async token(id: string): Promise<StoredToken | undefined> {
    const row = this.#queries.token().get(id);
    return row && tokenIn(row);
  }

  async putToken(token: StoredToken, most?: number): Promise<boolean> {
    const { id, owner, ownerId, hash, createdAt, expiresAt, pull, from, lastUsedAt, lastUsedFrom } = token;
    // One statement counts and writes, so nobody else writes in between.
    return this.#change(
      `INSERT INTO token SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
        WHERE ? IS NULL OR ? > (SELECT count(*) FROM token WHERE owner_id IS ? AND (owner = ? OR ? LIKE '%/%'))`,
      ...[id, owner, hash, createdAt, expiresAt, textOf(pull), textOf(from), lastUsedAt, lastUsedFrom],
      ...[ownerId, token.warnedAt, textOf(token.push ?? null), token.label],
      ...[most ?? null, most ?? null, ownerId, owner, ownerId],
    );
  }

  async removeToken(id: string): Promise<boolean> {
    return this.#change('DELETE FROM token WHERE id = ?', id);
  }

  async useToken(id: string, at: number, from: string): Promise<void> {
    this.#use('UPDATE token SET last_used_at = ?, last_used_from = ? WHERE id = ?', [at, from], id);
  }

  async warnedOfToken(id: string, at: number): Promise<void> {
    this.#use('UPDATE token SET warned_at = ? WHERE id = ?', [at], id);
  }

  async logins(): Promise<readonly StoredLogin[]> {
    return this.#queries.logins().all().map(loginIn);
  }

  async login(id: string): Promise<StoredLogin | undefined> {
    const row = this.#queries.login().get(id);
    return row && loginIn(row);
  }

  async putLogin(login: StoredLogin): Promise<void> {
    const { id, user, hash, credential, client, createdAt, expiresAt, lastUsedAt } = login;
    // This write needs no checkpoint: if a login is lost, its client presents the password again.
    this.#write(
      'INSERT INTO login VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      ...[id, user, hash, credential, client, createdAt, expiresAt, lastUsedAt],
    );
  }

  async removeLogin(id: string): Promise<boolean> {
    return this.#change('DELETE FROM login WHERE id = ?', id);
  }

  async useLogin(id: string, at: number): Promise<void> {
    this.#use('UPDATE login SET last_used_at = ? WHERE id = ?', [at], id);
  }

  async sessions(): Promise<readonly StoredSession[]> {
    return this.#queries.sessions().all().map(sessionIn);
  }

  async session(hash: string): Promise<StoredSession | undefined> {
    const row = this.#queries.session().get(hash);
    return row && sessionIn(row);
  }

  async putSession(session: StoredSession): Promise<void> {
    const { hash, user, login, createdAt, usedAt, expiresAt, authenticatedAt, credential, sid } = session;
    this.#run(
      'INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      ...[hash, user, login, createdAt, usedAt, expiresAt, authenticatedAt, credential, sid],
    );
  }

  async removeSession(hash: string): Promise<boolean> {
    return this.#run('DELETE FROM session WHERE hash = ?', hash);
  }

  async useSession(hash: string, at: number): Promise<void> {
    this.#use('UPDATE session SET used_at = ? WHERE hash = ?', [at], hash);
  }

  async devices(): Promise<readonly StoredDevice[]> {
    return this.#queries.devices().all().map(deviceIn);
  }

  async device(hash: string): Promise<StoredDevice | undefined> {
    const row = this.#queries.device().get(hash);
    return row && deviceIn(row);
  }

  async deviceOf(userCode: string): Promise<StoredDevice | undefined> {
    const row = this.#queries.deviceOf().get(userCode);
    return row && deviceIn(row);
  }

  async putDevice({ hash, userCode, machine, address, createdAt, expiresAt }: StoredDevice): Promise<void> {
    this.#run(
      'INSERT INTO device VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)',
      ...[hash, userCode, machine, address, createdAt, expiresAt],
    );
  }

  async decideDevice(hash: string, { user, login, ownerId, isApproved }: DeviceDecision): Promise<boolean> {
    return this.#run(
      `UPDATE device SET decided_by = ?, login = ?, owner_id = ?, approved = ?
        WHERE hash = ? AND decided_by IS NULL`,
      ...[user, login, ownerId, isApproved ? 1 : 0, hash],
    );
  }

  async removeDevice(hash: string): Promise<boolean> {
    return this.#run('DELETE FROM device WHERE hash = ?', hash);
  }

  async certificates(): Promise<readonly StoredCertificate[]> {
    return this.#queries
      .certificates()
      .all()
      .map((row) => ({
        fingerprint: row.fingerprint,
        tbsHash: row.tbs_hash,
        name: row.name,
        serial: row.serial,
        issuedAt: row.issued_at,
        expiresAt: row.expires_at,
        revokedAt: row.revoked_at,
      }));
  }

  async putCertificate(certificate: StoredCertificate): Promise<void> {
    const { fingerprint, tbsHash, name, serial, issuedAt, expiresAt, revokedAt } = certificate;
    this.#change(
      'INSERT INTO certificate VALUES (?, ?, ?, ?, ?, ?, ?)',
      ...[fingerprint, tbsHash, name, serial, issuedAt, expiresAt, revokedAt],
    );
  }

  async revokeCertificate(fingerprint: string, at: number): Promise<boolean> {
    return this.#change(
      'UPDATE certificate SET revoked_at = ? WHERE fingerprint = ? AND revoked_at IS NULL',
      at,
      fingerprint,
    );
  }

  async people(): Promise<readonly StoredPerson[]> {
    return this.#queries.people().all().map(personIn);
  }

  async person(name: string): Promise<StoredPerson | undefined> {
    const row = this.#queries.person().get(name);
    return row && personIn(row);
  }

  async personOf(login: string, stableId: string): Promise<StoredPerson | undefined> {
    const row = this.#queries.personOf().get(login, stableId);
    return row && personIn(row);
  }

  async putPerson(person: StoredPerson): Promise<void> {
    const { name, login, stableId, groups, confirmedAt, refusedAt, refresh, sid, linkedAt, namedAt } = person;
    this.#change(
      'INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      ...[name, login, stableId, JSON.stringify(groups), confirmedAt, refusedAt, refresh, sid, linkedAt],
      namedAt,
    );
  }

  async updatePerson(before: string, person: StoredPerson, refusedBefore?: number | null): Promise<boolean> {
    const { name, login, stableId, groups, confirmedAt, refusedAt, refresh, sid, linkedAt, namedAt } = person;
    return this.#change(
      `UPDATE person SET name = ?, stable_id = ?, group_names = ?, confirmed_at = ?, refused_at = ?, refresh = ?,
        sid = ?, linked_at = ?, named_at = ? WHERE name = ? AND login = ? AND ifnull(stable_id, ?) IS ?
        AND (? = 0 OR refused_at IS ?)`,
      ...[name, stableId, JSON.stringify(groups), confirmedAt, refusedAt, refresh, sid, linkedAt, namedAt],
      ...[before, login, stableId, stableId, refusedBefore === undefined ? 0 : 1, refusedBefore ?? null],
    );
  }

  async confirmPeople(login: string, people: readonly ConfirmedPerson[], at: number): Promise<void> {
    // One statement for all of them reads the whole list for each person of the table.
    const sql = `UPDATE person SET confirmed_at = ?, refresh = coalesce(?, refresh)
      WHERE name = ? AND login = ? AND refused_at IS NULL`;
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      for (const { name, refresh } of people) this.#run(sql, at, refresh, name, login);
      this.#database.exec('COMMIT');
    } finally {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
    }
    this.#changes.set(this.#changes.current + 1);
  }

  async removePerson(name: string): Promise<boolean> {
    return this.#change('DELETE FROM person WHERE name = ?', name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#polling[Symbol.dispose]();
    clearTimeout(this.#checkpointing);
    this.#writeUses();
    this.#database.close();
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #run(sql: string, ...values: SQLInputValue[]): boolean {
    return this.#statement(sql).run(...values).changes > 0;
  }

  #use(sql: string, values: readonly SQLInputValue[], id: string): void {
    this.#uses.set(`${sql} ${id}`, { sql, values: [...values, id] });
    this.#writing ??= setTimeout(() => this.#writeUses(), STATE_FILE.writeUsesAfter).unref();
  }

  /** Writes uses, which only inform. A full disk is not a reason to refuse a login. */
  #writeUses(): void {
    clearTimeout(this.#writing);
    this.#writing = undefined;
    const uses = [...this.#uses.values()];
    this.#uses.clear();
    if (uses.length === 0) return;
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      for (const { sql, values } of uses) this.#run(sql, ...values);
      this.#database.exec('COMMIT');
    } catch {
      // A write that matters reports the same problem.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
    }
  }

  #write(sql: string, ...values: SQLInputValue[]): boolean {
    const done = this.#run(sql, ...values);
    if (done) this.#changes.set(this.#changes.current + 1);
    return done;
  }

  /**
   * Writes a change that must not be lost, because its loss would make a revoked credential valid, or a valid
   * one invalid.
   */
  #change(sql: string, ...values: SQLInputValue[]): boolean {
    const done = this.#write(sql, ...values);
    if (done) this.#checkpoint();
    return done;
  }

  /**
   * Copies the write-ahead log into the database file, so that a copy of that file alone contains every
   * change. By itself SQLite does that only after 1,000 pages, which can take weeks. The change is in force
   * already, so a failure here does not refuse it.
   */
  #checkpoint(): void {
    clearTimeout(this.#checkpointing);
    if (this.#isCheckpointed('TRUNCATE')) return;
    this.#checkpointing = setTimeout(() => this.#checkpoint(), STATE_FILE.checkpointAgainAfter).unref();
  }

  #isCheckpointed(mode: 'PASSIVE' | 'TRUNCATE'): boolean {
    try {
      return this.#statement(`PRAGMA wal_checkpoint(${mode})`).get()?.busy === 0;
    } catch {
      return false;
    }
  }

  /**
   * Differs when another connection has written. Uses are writes too, so they make subscribers look without a
   * change.
   */
  #dataVersion(): unknown {
    return this.#queries.dataVersion().get()?.data_version;
  }

  #look(): void {
    const now = this.#dataVersion();
    if (now === this.#seen) return;
    this.#seen = now;
    this.#changes.set(this.#changes.current + 1);
  }
}
