import type { RecordedPull } from '../../access/replay.ts';
import { parseSubject } from '../../access/subject.ts';
import { parseTag } from '../../registry/reference.ts';
import { resolveRepository } from '../../registry/repository.ts';
import { auditedLines } from '../audited-lines.ts';

/** A pull and the HTTP status of its answer. */
export interface AuditedPull extends RecordedPull {
  readonly status: number;
}

/** Yields the pulls that the audit log has since `since`, which is in milliseconds. */
export async function* auditedPulls(file: string, since = 0): AsyncGenerator<AuditedPull, void> {
  for await (const line of auditedLines(file, since)) {
    const pull = readPull(line);
    if (pull !== undefined && pull.at >= since) yield pull;
  }
}

/** The kinds of request that the rules for a repository decide. */
const DECIDED: readonly unknown[] = ['pull', 'tags', 'referrers'];

const ANY_UPSTREAM = { upstreams: { has: () => true }, self: new Set<string>() };

/** Returns undefined for a line that a crash has cut, and for one that records something else. */
function readPull(line: string): AuditedPull | undefined {
  const { action, subject: who, repository: name, tag, decision, address, time, status } = readJson(line);
  const subject = typeof who === 'string' ? parseSubject(who) : undefined;
  const repository = typeof name === 'string' ? resolveRepository(name, [], ANY_UPSTREAM) : undefined;
  if (!DECIDED.includes(action) || subject === undefined || repository === undefined) return undefined;
  if (decision !== 'allow' && decision !== 'deny') return undefined;
  const named = typeof tag === 'string' ? parseTag(tag) : undefined;
  return {
    subject,
    repository,
    decision,
    status: Number(status),
    address: String(address),
    at: Date.parse(String(time)),
    ...(named !== undefined && { tag: named }),
  };
}

function readJson(line: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line);
  } catch {
    return {};
  }
}
