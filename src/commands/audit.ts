import { formatSubject, parseWrittenSubject } from '../access/subject.ts';
import { tokenOfCredential } from '../auth/identity/service-token.ts';
import type { Environment } from '../config/environment.ts';
import { pathsIn } from '../config/home.ts';
import { hostedNames } from '../config/hosted.ts';
import { RECENT_PULL_TTL } from '../core/limits.ts';
import { loadOrPrint } from '../launch/load.ts';
import { type ExitCode, printLine, type Terminal } from '../launch/terminal.ts';
import { systemClock } from '../platform/clock.ts';
import {
  isAuditCount,
  parseAuditLine,
  type StoredAuditCount,
  type StoredAuditLine,
} from '../protocol/audit-line.ts';
import { ANY_NAMES, parseImage } from '../registry/image.ts';
import type { HostedNamespaces } from '../registry/repository.ts';
import { auditedLines } from './audited-lines.ts';
import { inOrderOfTime } from './audited-order.ts';
import { parseSince, parseUntil, whyNoTime } from './audited-time.ts';
import { formatRow } from './table.ts';

export interface ShowAuditOptions {
  readonly home: string;
  readonly json: boolean;
  readonly since: string;
  readonly until?: string;
  readonly subject?: string;
  readonly repository?: string;
  /** The action that the lines must have. */
  readonly action?: string;
  readonly denied: boolean;
  /** True to print a line for each request instead of one for each pull. */
  readonly requests: boolean;
}

interface AuditEntry {
  readonly text: string;
  readonly line: StoredAuditLine | StoredAuditCount;
}

interface AuditFilter {
  /** The beginning and the end of the period, in milliseconds since the epoch. The end itself is excluded. */
  readonly from: number;
  readonly to: number;
  /** `operations` has the ids of the pulls and pushes of which a line was already wanted. */
  readonly filter: (line: StoredAuditLine | StoredAuditCount, operations: ReadonlySet<string>) => boolean;
}

/**
 * Prints the lines of the audit log, in the order of time. Returns 0, even if there are none, and 2 after bad
 * usage.
 */
export async function showAudit(
  options: ShowAuditOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const config = await loadOrPrint(pathsIn(options.home), environment, terminal);
  if (config === undefined) return 2;
  const wanted = filterOf(options, hostedNames(config.hosted));
  if ('wrong' in wanted) {
    for (const message of wanted.wrong) printLine(terminal.stderr, `hubgate: ${message}`);
    return 2;
  }
  let isHeadingDue = !options.json;
  for await (const text of printed(wantedLines(config.log.audit, wanted), options)) {
    // The reader has closed the pipe, and the rest of the log may be long.
    if (terminal.stdout.destroyed) break;
    if (isHeadingDue) printLine(terminal.stdout, formatRow(HEADING, WIDTHS));
    isHeadingDue = false;
    printLine(terminal.stdout, text);
  }
  if (isHeadingDue) printLine(terminal.stdout, nothingFound(config.log.audit, wanted));
  return 0;
}

const HEADING = ['TIME', 'DECISION', 'STATUS', 'SUBJECT', 'FROM', 'ACTION', 'IMAGE', 'DETAILS'];
/**
 * These widths suffice for most cells. The longest is unknown, because lines are printed as they are read.
 */
const WIDTHS = [24, 8, 6, 16, 15, 9, 32];

function nothingFound(file: string, { from, to }: AuditFilter): string {
  const until = Number.isFinite(to) ? ` until ${new Date(to).toISOString()}` : '';
  return `nothing that matches was audited since ${new Date(from).toISOString()}${until} (${file})`;
}

async function* printed(
  lines: ReturnType<typeof wantedLines>,
  { json, requests }: ShowAuditOptions,
): AsyncGenerator<string> {
  if (json) {
    for await (const { text } of lines) yield text;
  } else if (requests) {
    for await (const { line } of lines)
      yield isAuditCount(line) ? formatMissing(line) : formatSummary(summaryOf(line));
  } else {
    yield* summaries(lines);
  }
}

async function* wantedLines(file: string, { from, to, filter }: AuditFilter): AsyncGenerator<AuditEntry> {
  const operations = new Set<string>();
  for await (const entry of inOrderOfTime(linesBetween(file, from, to))) {
    const { line } = entry;
    if (!filter(line, operations)) continue;
    const id = idOf(line);
    if (id !== undefined) operations.add(id);
    yield entry;
  }
}

async function* linesBetween(file: string, from: number, to: number): AsyncGenerator<AuditEntry> {
  for await (const text of auditedLines(file, from)) {
    const line = parseAuditLine(text);
    if (line !== undefined && isBetween(line.time, from, to)) yield { text, line };
  }
}

function isBetween(time: string, from: number, to: number): boolean {
  const at = Date.parse(time);
  return at >= from && at < to;
}

function filterOf(
  options: ShowAuditOptions,
  hosted: HostedNamespaces | undefined,
): AuditFilter | { readonly wrong: string[] } {
  const { since, until, subject, repository, action, denied } = options;
  const now = systemClock();
  const from = parseSince(since, now);
  const to = until === undefined ? Number.POSITIVE_INFINITY : parseUntil(until, now);
  const who = subject === undefined ? undefined : parseWrittenSubject(subject);
  const image = repository === undefined ? undefined : parseImage(repository, { ...ANY_NAMES, hosted });
  const wrong = [
    from === undefined ? whyNoTime('--since', since) : [],
    to === undefined ? whyNoTime('--until', until ?? '') : [],
    from !== undefined && to !== undefined && from >= to ? '--until is not later than --since' : [],
    subject !== undefined && who === undefined ? `"${subject}" is no subject` : [],
    repository !== undefined && image === undefined ? `"${repository}" is no repository` : [],
  ].flat();
  if (from === undefined || to === undefined || wrong.length > 0) return { wrong };
  return {
    from,
    to,
    filter: (line, operations) => {
      if (isAuditCount(line)) return isCountWanted(line, options);
      return (
        (who === undefined || line.subject === formatSubject(who) || line.subject === subject) &&
        (image === undefined || line.repository === image.repository.name) &&
        // Only the first request of a pull names its tag.
        (image?.tag === undefined || line.tag === image.tag || operations.has(idOf(line) ?? '')) &&
        (action === undefined || line.action === action) &&
        (!denied || line.decision === 'deny')
      );
    },
  };
}

/**
 * True if the missing lines could match. Lost lines may belong to any subject. Omitted refusals belong to
 * anonymous clients whose repository is unknown.
 */
function isCountWanted(
  { action }: StoredAuditCount,
  { subject, repository, action: wantedAction }: ShowAuditOptions,
): boolean {
  return (
    action === 'lost' ||
    (repository === undefined && wantedAction === undefined && (subject ?? 'anonymous') === 'anonymous')
  );
}

/** A pull, a push, or a request that belongs to neither. */
interface Summary {
  /** The request that the summary shows: the first one of a pull, and the last manifest of a push. */
  first: StoredAuditLine;
  requests: number;
  /** The times in milliseconds since the epoch. */
  began: number;
  ended: number;
  status: number;
  bytes: number | undefined;
  cost: { upstreamRequests: number; countedPulls: number } | undefined;
  readonly caches: Set<string>;
  /** The effects of a quota on any of the requests, and the accounts that were used. */
  readonly quotas: Set<string>;
}

/**
 * Yields one summary for each pull and push, in the order in which they began. Only those that are under way
 * are in memory: the core gives no more requests to one that it has forgotten.
 */
async function* summaries(lines: AsyncIterable<AuditEntry>): AsyncGenerator<string> {
  const open = new Map<unknown, Summary | MissingLines>();
  for await (const { line } of lines) {
    const ended = Date.parse(line.time);
    for (const [key, one] of open) {
      // A pull that goes on keeps its place, and those that began after it wait, so the order stays.
      if (ended - one.ended < RECENT_PULL_TTL) break;
      open.delete(key);
      yield formatEntry(one);
    }
    if (isAuditCount(line)) open.set(line, { ended, counted: line });
    else take(line, open);
  }
  for (const one of open.values()) yield formatEntry(one);
}

/** A count of missing lines, which is printed at its place among the pulls. */
interface MissingLines {
  readonly ended: number;
  readonly counted: StoredAuditCount;
}

function take(line: StoredAuditLine, open: Map<unknown, Summary | MissingLines>): void {
  const id = idOf(line);
  const known = id === undefined ? undefined : open.get(id);
  if (known === undefined || 'counted' in known) open.set(id ?? line, summaryOf(line));
  else add(known, summaryOf(line));
}

function formatEntry(one: Summary | MissingLines): string {
  return 'counted' in one ? formatMissing(one.counted) : formatSummary(one);
}

function formatMissing({ time, action, address, count, since }: StoredAuditCount): string {
  const what =
    action === 'lost'
      ? `${count} lines could not be written`
      : `${count} more refusals of anonymous, counted and not listed`;
  const from = action === 'lost' ? [] : [`from ${address ?? 'other addresses'}`];
  return [time, action, what, ...from, `since ${since}`].join('  ');
}

function summaryOf(line: StoredAuditLine): Summary {
  const { status, size, cache, upstreamRequests, countedPulls = 0 } = line;
  const bytes = line.bytes ?? (status === 201 ? size : undefined);
  const ended = Date.parse(line.time);
  return {
    first: line,
    requests: 1,
    began: ended - (line.milliseconds ?? 0),
    ended,
    status,
    bytes,
    cost: upstreamRequests === undefined ? undefined : { upstreamRequests, countedPulls },
    caches: new Set(cache === undefined ? [] : [cache]),
    quotas: new Set(quotasOf(line)),
  };
}

function quotasOf({ account, limit, held }: StoredAuditLine): string[] {
  return [
    ...(account === undefined ? [] : [`account ${account}`]),
    ...(limit === undefined ? [] : [`refused by ${limit}`]),
    ...(held === undefined ? [] : [`held by ${held}`]),
  ];
}

/**
 * Adds a request to its pull or push. The status of a pull is that of its first request, or that of a
 * failure; the status of a push is that of its last manifest, or that of a failure after it.
 */
function add(to: Summary, next: Summary): void {
  to.requests++;
  if (next.first.push !== undefined && isManifest(next.first)) {
    to.first = next.first;
    // The client has repeated what failed before, until it succeeded.
    to.status = next.status;
  }
  to.began = Math.min(to.began, next.began);
  to.ended = Math.max(to.ended, next.ended);
  if (next.status >= 400) to.status = Math.max(to.status, next.status);
  if (next.bytes !== undefined) to.bytes = (to.bytes ?? 0) + next.bytes;
  if (next.cost !== undefined)
    to.cost = {
      upstreamRequests: (to.cost?.upstreamRequests ?? 0) + next.cost.upstreamRequests,
      countedPulls: (to.cost?.countedPulls ?? 0) + next.cost.countedPulls,
    };
  for (const cache of next.caches) to.caches.add(cache);
  for (const quota of next.quotas) to.quotas.add(quota);
}

function formatSummary({
  first,
  requests,
  began,
  ended,
  status,
  bytes,
  cost,
  caches,
  quotas,
}: Summary): string {
  const { time, action, subject, decision, address, rule, from, reason } = first;
  const { login, token = refusedToken(first), label, restriction } = first;
  const details = [
    rule && `rule ${rule}`,
    ...tagChangeOf(first),
    from && `from ${from}`,
    login && `login ${login}`,
    token && `token ${token}`,
    label && `"${label}"`,
    restriction && `only ${restriction}`,
    reason,
    [...caches].join('+'),
    bytes !== undefined && `${bytes} bytes`,
    requests > 1 && `${requests} requests`,
    cost && `${cost.upstreamRequests} upstream`,
    cost && cost.countedPulls > 0 && `${cost.countedPulls} counted`,
    ...quotas,
    formatDuration(ended - began),
  ].filter(Boolean);
  const cells = [time, decision, String(status), subject, address, action, imageOf(first)];
  return formatRow([...cells, details.join('  ')], WIDTHS);
}

/** Returns the id of a token because of whose limits the request was refused. */
function refusedToken({ decision, reason, credential = '' }: StoredAuditLine): string | undefined {
  return decision === 'deny' && reason !== undefined ? tokenOfCredential(credential) : undefined;
}

/** True for the PUT of a manifest. Clients put the manifest with the tag last, so that one names the push. */
function isManifest({ action, upload, method }: StoredAuditLine): boolean {
  return action === 'push' && upload === undefined && method === 'PUT';
}

/** The pull or the push that a request belongs to. */
function idOf(line: StoredAuditLine | StoredAuditCount): string | undefined {
  return isAuditCount(line) ? undefined : (line.pull ?? line.push);
}

/** Returns what a tag names after a push or a promotion, and what it named before that or before a delete. */
function tagChangeOf({ action, tag, digest, previous, status }: StoredAuditLine): string[] {
  if (tag === undefined || action === 'pull' || status >= 300) return [];
  return [
    ...(digest === undefined ? [] : [`sets ${digest.slice(0, DIGEST_SHOWN)}`]),
    ...(previous === undefined ? [] : [`was ${previous.slice(0, DIGEST_SHOWN)}`]),
  ];
}

/** The characters of a digest that are enough for people. */
const DIGEST_SHOWN = 'sha256:'.length + 12;

function imageOf({ repository, tag, digest }: StoredAuditLine): string {
  if (repository === undefined) return '-';
  if (tag !== undefined) return `${repository}:${tag}`;
  return digest === undefined ? repository : `${repository}@${digest}`;
}

function formatDuration(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
