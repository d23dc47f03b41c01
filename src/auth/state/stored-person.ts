import { z } from 'zod';

/** A person of a directory, who is bound to a name here. */
export interface StoredPerson {
  /** The name of the subject: `user:NAME`. No two people have the same. */
  readonly name: string;
  /** The login of the configuration that vouches for the person. */
  readonly login: string;
  /**
   * The id that the directory never gives to anybody else. Null if an operator has linked the name, and its
   * owner has not logged in yet.
   */
  readonly stableId: string | null;
  /** The names of groups as the directory says them, in the order of their code units. */
  readonly groups: readonly string[];
  /**
   * The time at which the directory last confirmed the person, in milliseconds since the epoch like all
   * times.
   */
  readonly confirmedAt: number;
  /** The time at which the directory said no; null if the last answer was not a no. */
  readonly refusedAt: number | null;
  /** The refresh token of the directory, sealed; null if it gave none. */
  readonly refresh: string | null;
  /** The id of the session at the directory, which a logout there names; null if it has none. */
  readonly sid: string | null;
  /** The time at which an operator bound the name; null if its owner was the first to log in with it. */
  readonly linkedAt: number | null;
  /** The time since which the name is that of this person; null if an earlier release recorded the person. */
  readonly namedAt: number | null;
}

/**
 * A person whom a directory has confirmed. `refresh` replaces the sealed refresh token, if it is not null.
 */
export type ConfirmedPerson = Pick<StoredPerson, 'name' | 'refresh'>;

export interface PersonRow {
  readonly name: string;
  readonly login: string;
  readonly stable_id: string | null;
  readonly group_names: string;
  readonly confirmed_at: number;
  readonly refused_at: number | null;
  readonly refresh: string | null;
  readonly sid: string | null;
  readonly linked_at: number | null;
  readonly named_at: number | null;
}

export const PERSON_TABLE = `
  CREATE TABLE person (
    name TEXT PRIMARY KEY, login TEXT NOT NULL, stable_id TEXT, group_names TEXT NOT NULL,
    confirmed_at INTEGER NOT NULL, refused_at INTEGER, refresh TEXT, sid TEXT, linked_at INTEGER,
    UNIQUE (login, stable_id)
  ) STRICT, WITHOUT ROWID;
`;

export const PERSON_NAMED = 'ALTER TABLE person ADD COLUMN named_at INTEGER;';

const LIST = z.array(z.string());

export function personIn(row: PersonRow): StoredPerson {
  return {
    name: row.name,
    login: row.login,
    stableId: row.stable_id,
    groups: LIST.parse(JSON.parse(row.group_names)),
    confirmedAt: row.confirmed_at,
    refusedAt: row.refused_at,
    refresh: row.refresh,
    sid: row.sid,
    linkedAt: row.linked_at,
    namedAt: row.named_at,
  };
}
