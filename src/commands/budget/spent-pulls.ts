import { isAuditCount, parseAuditLine, type StoredAuditLine } from '../../protocol/audit-line.ts';
import { auditedPieces } from '../audited-lines.ts';

/** A line of the audit log that counted pulls of a quota, or that a quota refused. */
export interface SpendingLine {
  readonly line: StoredAuditLine;
  readonly pulls: number;
  readonly refused: boolean;
}

const NEWLINE = 0x0a;
const ZERO = 0x30;

/**
 * What such a line contains, before a value that is not 0. It occurs as a key alone, because a quotation mark
 * within a text is escaped.
 */
const MARKS = ['"countedPulls":', '"limit":"'].map((text) => Buffer.from(text));

/**
 * Yields these lines since a time, which is in milliseconds. Most lines are of cached content. They are passed
 * by without being parsed.
 */
export async function* spendingLines(file: string, since: number): AsyncGenerator<SpendingLine> {
  for await (const piece of auditedPieces(file, since)) {
    for (const text of markedLines(piece)) {
      const line = parseAuditLine(text);
      if (line === undefined || isAuditCount(line) || Date.parse(line.time) < since) continue;
      yield { line, pulls: line.countedPulls ?? 0, refused: line.limit !== undefined };
    }
  }
}

function* markedLines(piece: Buffer): Generator<string> {
  const begins = new Set<number>();
  for (const mark of MARKS)
    for (let at = piece.indexOf(mark); at >= 0; at = piece.indexOf(mark, at + mark.length))
      if (piece[at + mark.length] !== ZERO) begins.add(piece.lastIndexOf(NEWLINE, at) + 1);
  for (const begin of begins) {
    const end = piece.indexOf(NEWLINE, begin);
    yield piece.toString('utf8', begin, end < 0 ? piece.length : end);
  }
}
