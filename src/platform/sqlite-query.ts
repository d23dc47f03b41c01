import type { DatabaseSync, SQLInputValue } from 'node:sqlite';

/** A prepared query. The schema of its tables, which are STRICT, ensures the types of its columns. */
export interface Query<Row> {
  get(...values: SQLInputValue[]): Row | undefined;
  all(...values: SQLInputValue[]): Row[];
}

export function prepareQuery<Row>(database: DatabaseSync, sql: string): Query<Row> {
  const statement: unknown = database.prepare(sql);
  return statement as Query<Row>;
}

/** The version that the application gave the schema of a database; 0 if the database is new. */
export function schemaVersion(database: DatabaseSync): number {
  const query = prepareQuery<{ readonly user_version: number }>(database, 'PRAGMA user_version');
  return query.get()?.user_version ?? 0;
}
