import { LRUCache } from 'lru-cache';
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
export type ReadSpender = (header: (name: string) => string) => Spender | undefined;

/** The headers of a caller to which a hundred limits apply have some 30,000 characters. */
const MAX_KEPT_CHARACTERS = 4 * 1024 * 1024;

/**
 * Returns a reader that keeps what it has read, because the gateways send the same headers with each request
 * of a subject, and to read a hundred limits takes longer than all the rest of a short request.
 */
export function spenderReader(): ReadSpender {
  const kept = new LRUCache<string, Omit<Spender, 'subjectKey'>>({ maxSize: MAX_KEPT_CHARACTERS });
  const parse = (budgetsHeader: string, reservedHeader: string) => {
    const budgets = parseBudgets(budgetsHeader);
    const reserved = parseReserved(reservedHeader);
    return budgets === undefined || reserved === undefined ? undefined : { budgets, reserved };
  };
  return (header) => {
    const headers = [header(CORE_HEADERS.budgets), header(CORE_HEADERS.reserved)] as const;
    const key = headers.join('\n');
    const known = kept.get(key);
    const spending = known ?? parse(...headers);
    if (spending === undefined) return undefined;
    if (known === undefined) kept.set(key, spending, { size: key.length });
    return { subjectKey: header(CORE_HEADERS.subjectKey), ...spending };
  };
}
