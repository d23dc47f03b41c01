import type {
  CHANGE_HOSTED,
  CHANGE_HOSTED_CONTENT,
  SELECT_HOSTED,
  SELECT_HOSTED_CONTENT,
} from './hosted-queries.ts';

/** A value of a statement. */
export type HostedValue = string | number | null | Uint8Array;

/** A statement with its values, which the database runs. */
export interface HostedQuery {
  readonly name:
    | keyof typeof SELECT_HOSTED
    | keyof typeof SELECT_HOSTED_CONTENT
    | keyof typeof CHANGE_HOSTED
    | keyof typeof CHANGE_HOSTED_CONTENT;
  /** The first row, all rows, or the number of rows that were changed. */
  readonly wants: 'row' | 'rows' | 'count';
  readonly values: readonly HostedValue[];
}

/**
 * A read or a change. It yields one query after the other, receives what the query wants, and returns its
 * result. So the same code runs in SQLite, which answers at once, and in PostgreSQL, which answers later. See
 * docs/decisions/0021.
 */
export type HostedStep<T> = Generator<HostedQuery, T, unknown>;

/** The schema of the tables, which are STRICT, ensures the types of the columns. */
export function* askHosted<Answer>(query: HostedQuery): HostedStep<Answer> {
  return (yield query) as Answer;
}
