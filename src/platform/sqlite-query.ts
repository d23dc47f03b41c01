import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';

/** A prepared query. The schema of its tables, which are STRICT, ensures the types of its columns. */
export interface Query<Row> {
  get(...values: SQLInputValue[]): Row | undefined;
  all(...values: SQLInputValue[]): Row[];
}

export function prepareQuery<Row>(database: DatabaseSync, sql: string): Query<Row> {
  const statement: unknown = database.prepare(sql);
  return statement as Query<Row>;
}

/** The prepared queries of several texts, whose rows have the types of `Rows`. */
export type Queries<Rows> = { readonly [Name in keyof Rows]: Query<Rows[Name]> };

export function prepareQueries<Rows>(
  database: DatabaseSync,
  texts: { readonly [Name in keyof Rows]: string },
): Queries<Rows> {
  return mapValues(texts, (sql) => prepareQuery<never>(database, sql));
}

/** The prepared statements of several texts. */
export type Statements<Texts> = { readonly [Name in keyof Texts]: StatementSync };

export function prepareChanges<Texts extends Record<string, string>>(
  database: DatabaseSync,
  texts: Texts,
): Statements<Texts> {
  return mapValues(texts, (sql) => database.prepare(sql));
}

function mapValues<Texts extends Record<string, string>, Value>(
  texts: Texts,
  make: (text: string) => Value,
): { readonly [Name in keyof Texts]: Value } {
  const values = Object.entries(texts).map(([name, text]) => [name, make(text)] as const);
  return Object.fromEntries(values) as { readonly [Name in keyof Texts]: Value };
}

/** The version that the application gave the schema of a database; 0 if the database is new. */
export function schemaVersion(database: DatabaseSync): number {
  const query = prepareQuery<{ readonly user_version: number }>(database, 'PRAGMA user_version');
  return query.get()?.user_version ?? 0;
}
