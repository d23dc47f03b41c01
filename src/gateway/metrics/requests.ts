/**
 * The metrics of one gateway's requests: what HTTP shows for all of them, and what the audit line says for
 * the decided ones. Every label is a word of a closed list, and never a name, a tag or an address of a
 * client.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Meters } from '../../platform/metrics.ts';
import type { AuditLine } from '../../protocol/audit-line.ts';
import { CACHE_STATES } from '../../protocol/core-api.ts';
import { AUDITED_ACTIONS } from '../../registry/action.ts';
import type { Audit } from '../audit/audit.ts';

export interface RequestMeters {
  /** Counts a request from now to the end of its answer. */
  countRequest(request: IncomingMessage, response: ServerResponse): void;
  /** Counts requests by the audit lines, and reports the state of the audit log. */
  audited(audit: Audit): Audit;
}

type RequestKind =
  | 'manifest'
  | 'blob'
  | 'tags'
  | 'referrers'
  | 'catalog'
  | 'ping'
  | 'token'
  | 'upload'
  | 'account'
  | 'other';

/** The buckets in seconds to the last byte. A manifest takes milliseconds, a large blob a minute. */
const DURATIONS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PATCH', 'PUT', 'DELETE']);
const CACHES: ReadonlySet<string> = new Set(CACHE_STATES);

export function measureRequests(meters: Meters): RequestMeters {
  const underWay = meters.gauge('hubgate_requests_under_way', 'Requests that have not been answered in full');
  const requests = meters.counter(
    'hubgate_requests_total',
    'Requests, by what was asked for and the class of the status',
    ['kind', 'method', 'status'],
  );
  const cut = meters.counter(
    'hubgate_responses_cut_total',
    'Answers that ended before their end: the client left, or the mirror could not go on',
    ['kind'],
  );
  const durations = meters.histogram(
    'hubgate_request_duration_seconds',
    'Time to the end of the answer, which also depends on the client',
    DURATIONS,
    ['kind'],
  );
  const decided = countLines(meters);
  return {
    countRequest(request, response) {
      const started = performance.now();
      underWay.inc();
      response.on('close', () => {
        underWay.dec();
        const kind = kindOf(request.url ?? '');
        const method = METHODS.has(request.method ?? '') ? request.method : 'other';
        requests.inc({
          kind,
          method: method ?? 'other',
          status: `${Math.floor(response.statusCode / 100)}xx`,
        });
        durations.observe({ kind }, (performance.now() - started) / 1000);
        if (!response.writableFinished) cut.inc({ kind });
      });
    },
    audited: (audit) => {
      measureAudit(meters, audit);
      const recorded = (line: AuditLine) => {
        audit(line);
        decided(line);
      };
      return Object.assign(recorded, {
        lose: (count: number) => audit.lose(count),
        mayBegin: () => audit.mayBegin(),
        reopen: () => audit.reopen(),
        state: () => audit.state(),
        [Symbol.asyncDispose]: () => audit[Symbol.asyncDispose](),
      });
    },
  };
}

function measureAudit(meters: Meters, audit: Audit): void {
  meters.readCounter('hubgate_audit_lines_lost_total', 'Audit lines that could not be written', () => [
    { value: audit.state().lost },
  ]);
  meters.readCounter(
    'hubgate_audit_lines_omitted_total',
    'Anonymous refusals that were counted in the audit log and have no line of their own',
    () => [{ value: audit.state().omitted }],
  );
  meters.readGauge(
    'hubgate_audit_writable',
    '1 while the audit log can be written',
    () => [{ value: audit.state().trouble === undefined ? 1 : 0 }],
    { together: 'min' },
  );
  meters.readGauge('hubgate_audit_waiting_bytes', 'Audit lines that wait to be written', () => [
    { value: audit.state().waiting },
  ]);
}

function countLines(meters: Meters): (line: AuditLine) => void {
  const decisions = meters.counter('hubgate_decisions_total', 'Decided requests, and how', [
    'action',
    'decision',
  ]);
  const pulls = meters.counter(
    'hubgate_pulls_total',
    'Answered pulls and lists, by how the core came to the answer',
    ['cache'],
  );
  const bytes = meters.counter('hubgate_sent_bytes_total', 'Bytes that were sent of these', ['cache']);
  // Counters begin at zero, so that Prometheus also sees their first increase.
  for (const action of AUDITED_ACTIONS)
    for (const decision of ['allow', 'deny']) decisions.inc({ action, decision }, 0);
  for (const counter of [pulls, bytes]) for (const cache of CACHES) counter.inc({ cache }, 0);
  return ({ action, decision, cache, bytes: sent }) => {
    decisions.inc({ action, decision });
    if (cache === undefined) return;
    const labels = { cache: CACHES.has(cache) ? cache : 'other' };
    pulls.inc(labels);
    if (sent !== undefined) bytes.inc(labels, sent);
  };
}

const LEAVES: Readonly<Record<string, RequestKind>> = {
  manifests: 'manifest',
  blobs: 'blob',
  referrers: 'referrers',
  uploads: 'upload',
};

/** Uses only the shape of the target, because targets that cannot be parsed are counted too. */
function kindOf(target: string): RequestKind {
  const end = target.indexOf('?');
  const path = end === -1 ? target : target.slice(0, end);
  if (path === '/token') return 'token';
  if (path === '/account' || path.startsWith('/account/')) return 'account';
  if (path === '/v2/' || path === '/v2') return 'ping';
  if (!path.includes('/v2/')) return 'other';
  if (path.endsWith('/_catalog')) return 'catalog';
  if (path.endsWith('/tags/list')) return 'tags';
  const [leaf = ''] = path.split('/').slice(-2);
  return Object.hasOwn(LEAVES, leaf) ? (LEAVES[leaf] ?? 'other') : 'other';
}
