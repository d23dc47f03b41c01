import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { RecordedPull } from '../../access/replay.ts';
import { parseSubject } from '../../access/subject.ts';
import { parseTag } from '../../registry/reference.ts';
import { resolveRepository } from '../../registry/repository.ts';

/** The pulls in the audit log since `since`, in milliseconds. A file that is not there yet holds none. */
export async function* auditedPulls(file: string, since = 0): AsyncGenerator<RecordedPull, void> {
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY });
  try {
    for await (const line of lines) {
      const pull = readPull(line);
      if (pull !== undefined && pull.at >= since) yield pull;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

const ANY_UPSTREAM = { upstreams: { has: () => true }, self: new Set<string>() };

/** A line that a crash has cut, or that records something else, is passed over. */
function readPull(line: string): RecordedPull | undefined {
  const { action, subject: who, repository: name, tag, decision, address, time } = readJson(line);
  const subject = typeof who === 'string' ? parseSubject(who) : undefined;
  const repository = typeof name === 'string' ? resolveRepository(name, [], ANY_UPSTREAM) : undefined;
  if (action !== 'pull' || subject === undefined || repository === undefined) return undefined;
  if (decision !== 'allow' && decision !== 'deny') return undefined;
  const named = typeof tag === 'string' ? parseTag(tag) : undefined;
  return {
    subject,
    repository,
    decision,
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
