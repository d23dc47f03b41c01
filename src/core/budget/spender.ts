import {
  type Budget,
  CORE_HEADERS,
  parseBudgets,
  parseReserved,
  type Reserved,
} from '../../protocol/core-api.ts';

/** The one that a pull is charged to: a subject, its budgets, and what is reserved for others. */
export interface Spender {
  /** Empty if the gateway does not name a subject. */
  readonly subjectKey: string;
  readonly budgets: readonly Budget[];
  readonly reserved: Reserved;
}

/** Reads the spender of a gateway's request; undefined if the request is malformed. */
export function readSpender(header: (name: string) => string): Spender | undefined {
  const budgets = parseBudgets(header(CORE_HEADERS.budgets));
  const reserved = parseReserved(header(CORE_HEADERS.reserved));
  if (budgets === undefined || reserved === undefined) return undefined;
  return { subjectKey: header(CORE_HEADERS.subjectKey), budgets, reserved };
}
