import { type FileHandle, open } from 'node:fs/promises';
import { isErrno } from '../platform/reason.ts';
import { isAuditCount, parseAuditLine, type StoredAuditLine } from '../protocol/audit-line.ts';
import { ACTIVITY } from './limits.ts';

export interface ActivityRequest {
  /** The file of the audit log. */
  readonly file: string;
  /** The subject whose lines are wanted. */
  readonly subject: string;
  /** True to read only the requests that were refused. */
  readonly isRefusedOnly: boolean;
  /** The time since which the lines are wanted, in milliseconds; null: since ever. */
  readonly since: number | null;
}

export interface Activity {
  /** The newest line is the first one. */
  readonly lines: readonly StoredAuditLine[];
  /** False if older lines of the file were not looked at. */
  readonly isComplete: boolean;
}

const NEWLINE = 0x0a;

/**
 * Reads the end of the audit log, and returns only the lines of one subject. Lines of others are passed by as
 * bytes. A file that does not exist yet has no lines.
 */
export async function readActivity(request: ActivityRequest): Promise<Activity> {
  await using handle = await openIfPresent(request.file);
  if (handle === undefined) return { lines: [], isComplete: true };
  const { size } = await handle.stat();
  const first = Math.max(0, size - ACTIVITY.tail);
  const lines: StoredAuditLine[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let end = size;
  while (end > first && lines.length < ACTIVITY.lines) {
    const from = Math.max(first, end - ACTIVITY.chunk);
    const chunk = Buffer.concat([await readPart(handle, from, end), rest]);
    // The first line of a chunk may have begun before it.
    const begin = from === 0 ? 0 : chunk.indexOf(NEWLINE) + 1;
    lines.push(...linesIn(chunk.subarray(begin), request).reverse());
    rest = chunk.subarray(0, begin);
    end = from;
  }
  return { lines: lines.slice(0, ACTIVITY.lines), isComplete: end === 0 && lines.length <= ACTIVITY.lines };
}

async function openIfPresent(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function readPart(handle: FileHandle, from: number, end: number): Promise<Buffer> {
  const buffer = Buffer.alloc(end - from);
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, from);
  return buffer.subarray(0, bytesRead);
}

function linesIn(chunk: Buffer, { subject, ...wanted }: ActivityRequest): StoredAuditLine[] {
  const text = Buffer.from(JSON.stringify(subject));
  const lines: StoredAuditLine[] = [];
  for (let at = chunk.indexOf(text); at >= 0; ) {
    const begin = chunk.lastIndexOf(NEWLINE, at) + 1;
    const newline = chunk.indexOf(NEWLINE, at);
    const end = newline < 0 ? chunk.length : newline;
    const line = parseAuditLine(chunk.toString('utf8', begin, end));
    // The name may also stand in another field of somebody else's line.
    if (line !== undefined && !isAuditCount(line) && line.subject === subject && isShown(line, wanted))
      lines.push(line);
    at = chunk.indexOf(text, end);
  }
  return lines;
}

/** Requests for tokens say nothing that the pulls after them do not say. */
function isShown(
  { action, decision, time }: StoredAuditLine,
  { isRefusedOnly, since }: Pick<ActivityRequest, 'isRefusedOnly' | 'since'>,
): boolean {
  if (since !== null && Date.parse(time) < since) return false;
  return isRefusedOnly ? decision === 'deny' : action !== 'token' || decision === 'deny';
}
