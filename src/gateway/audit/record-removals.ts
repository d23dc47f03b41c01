import { type HttpClient, PeerUnreachable } from '../../platform/ipc/http-client.ts';
import type { Logger } from '../../platform/log.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import type { AuditLine } from '../../protocol/audit-line.ts';
import { FETCHED_REMOVALS, type FetchedRemovals } from '../../protocol/hosted-api.ts';
import { HOSTED } from '../../registry/repository.ts';
import { REMOVALS } from '../limits.ts';

/**
 * The subject of what Hubgate removes by the rules of its configuration. No subject of a policy has this
 * name.
 */
const SUBJECT = 'hubgate';

/** Records what retention and the collection of the core remove. Each removal is recorded by one gateway. */
export function recordRemovals(
  core: HttpClient,
  audit: (line: AuditLine) => void,
  log: Logger,
  every: number = REMOVALS.fetchEvery,
): AsyncDisposable {
  return runPeriodically(every, async (signal) => void (await fetchAll(core, audit, signal)), log);
}

async function fetchAll(
  core: HttpClient,
  audit: (line: AuditLine) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let written: number | null = null; ; ) {
    const removals = await nextRemovals(core, written, signal);
    const last = removals.at(-1);
    if (last === undefined) return;
    for (const removal of removals) audit(lineOf(removal));
    written = last.id;
  }
}

/** Returns none while the core cannot be asked. It keeps them. */
async function nextRemovals(
  core: HttpClient,
  written: number | null,
  signal: AbortSignal,
): Promise<FetchedRemovals> {
  try {
    const { statusCode, text } = await core.ask({
      ...{ method: 'POST', path: '/hosted-repositories/removals', signal, deadline: REMOVALS.deadline },
      ...{ headers: { 'content-type': 'application/json' }, body: JSON.stringify({ written }) },
    });
    return statusCode === 200 ? FETCHED_REMOVALS.parse(JSON.parse(text)) : [];
  } catch (error) {
    if (error instanceof PeerUnreachable) return [];
    throw error;
  }
}

/** A tag that is removed has meant the digest; other content is the digest. */
function lineOf({ repository, tag, digest, credential, reason }: FetchedRemovals[number]): AuditLine {
  return {
    ...({ action: 'delete', subject: SUBJECT, credential, address: 'local', method: 'DELETE' } as const),
    ...(repository !== null && { repository: `${HOSTED}/${repository}` }),
    ...(tag === null ? { digest } : { tag, previous: digest }),
    ...({ decision: 'allow', status: 202, reason, milliseconds: 0 } as const),
  };
}
