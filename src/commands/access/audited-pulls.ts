import type { RecordedPull } from '../../access/replay.ts';
import { parseSubject } from '../../access/subject.ts';
import { isAuditCount, parseAuditLine } from '../../protocol/audit-line.ts';
import { ACTIONS, type Action } from '../../registry/action.ts';
import { parseTag } from '../../registry/reference.ts';
import { parseRepositoryName } from '../../registry/repository.ts';
import { auditedLines } from '../audited-lines.ts';

/** A pull and the HTTP status of its answer. */
export interface AuditedPull extends RecordedPull {
  readonly status: number;
}

/** Yields the pulls that the audit log has since `since`, which is in milliseconds. */
export async function* auditedPulls(file: string, since = 0): AsyncGenerator<AuditedPull, void> {
  for await (const line of auditedLines(file, since)) {
    const pull = parsePull(line);
    if (pull !== undefined && pull.at >= since) yield pull;
  }
}

/** The kinds of request that the rules for a repository decide. */
const DECIDED: ReadonlyMap<string, Action> = new Map([
  ...ACTIONS.map((action) => [action, action] as const),
  // A list is decided as a pull; a mount and a promotion as a push to their target.
  ...(['tags', 'referrers'] as const).map((action) => [action, 'pull'] as const),
  ...(['mount', 'promote'] as const).map((action) => [action, 'push'] as const),
]);

/** Returns undefined for a line that a crash has cut, and for one that records something else. */
function parsePull(text: string): AuditedPull | undefined {
  const line = parseAuditLine(text);
  if (line === undefined || isAuditCount(line)) return undefined;
  const action = DECIDED.get(line.action);
  const subject = parseSubject(line.subject);
  const repository = parseRepositoryName(line.repository ?? '');
  if (action === undefined || subject === undefined || repository === undefined) return undefined;
  const tag = line.tag === undefined ? undefined : parseTag(line.tag);
  const { decision, status, address, time } = line;
  return {
    ...{ action, subject, repository, decision, status, address },
    at: Date.parse(time),
    ...(tag !== undefined && { tag }),
  };
}
