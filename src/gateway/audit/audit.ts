/** The audit log: one JSON line for each decided request, see protocol/audit-line.ts. */
import { ANONYMOUS, formatSubject } from '../../access/subject.ts';
import type { AuditOnFull } from '../../platform/audit-on-full.ts';
import { type Clock, systemClock } from '../../platform/clock.ts';
import { escapeControlsInLines } from '../../platform/escape-controls.ts';
import type { Logger } from '../../platform/log.ts';
import { runPeriodically } from '../../platform/scheduling/periodic-task.ts';
import type { AuditCount, AuditLine } from '../../protocol/audit-line.ts';
import { AUDIT_QUEUE } from '../limits.ts';
import { LineFile } from './line-file.ts';
import { type OmittedRefusals, RefusalBudget } from './refusal-budget.ts';

/** The state of the audit log. */
export interface AuditState {
  /** The bytes that wait to be written. */
  readonly waiting: number;
  /** The number of lost lines. */
  readonly lost: number;
  /** The number of anonymous refusals that were counted without a line of their own. */
  readonly omitted: number;
  /** The reason why lines cannot be written; absent if they can. */
  readonly trouble?: string;
  /** True if requests are refused for that reason. */
  readonly refuses: boolean;
}

export interface Audit extends AsyncDisposable {
  (line: AuditLine): void;
  /** Counts lines of which it is only known that they should have been written. */
  lose(count: number): void;
  /**
   * Tells whether a request that must be recorded may begin. Depending on the configuration it waits for room
   * first, or is refused.
   */
  mayBegin(): boolean | Promise<boolean>;
  /** Reopens the file after somebody has renamed it. */
  reopen(): void;
  state(): AuditState;
}

export interface AuditOptions {
  readonly file: string;
  readonly onFull: AuditOnFull;
  /** The name of this node of a cluster, for each line. */
  readonly node?: string | undefined;
  readonly log: Logger;
  readonly clock?: Clock;
}

const ANONYMOUS_SUBJECT = formatSubject(ANONYMOUS);

/**
 * Opens the audit log. No line is lost silently: a line that cannot be written waits, and a line that finds
 * no room is counted.
 */
export function openAudit({ file, onFull, node, log, clock = systemClock }: AuditOptions): Audit {
  const capacity = onFull === 'refuse' ? AUDIT_QUEUE.mostBytesRefusing : AUDIT_QUEUE.mostBytes;
  const timeOf = isoTimes();
  const write = (line: AuditLine | AuditCount) => formatAuditLine(line, timeOf(clock()), node);
  const lossLine = (count: number, since: number) =>
    write({ action: 'lost', count, since: new Date(since).toISOString() });
  const lines = new LineFile({ file, capacity, lossLine, log });
  const budget = new RefusalBudget(clock);
  const append = (line: AuditLine | AuditCount) => lines.append(write(line));
  const summarize = () => {
    for (const omitted of budget.takeOmitted()) append(omittedLine(omitted));
  };
  const summaries = runPeriodically(AUDIT_QUEUE.summarizeEvery, async () => void summarize(), log);
  const audit = (line: AuditLine) => {
    if (isAnonymousRefusal(line) && !budget.take(line.address)) return;
    const { agent } = line;
    append(agent === undefined || isPlain(agent) ? line : { ...line, agent: plain(agent) || undefined });
  };
  const refuses = () =>
    onFull === 'refuse' && (lines.trouble !== undefined || lines.waiting >= AUDIT_QUEUE.full);
  return Object.assign(audit, {
    lose: (count: number) => lines.lose(count),
    mayBegin: () => {
      if (onFull === 'refuse') return !refuses();
      return onFull === 'wait' && mustWait(lines) ? waitForRoom(lines) : true;
    },
    reopen: () => lines.reopen(),
    state: () => stateOf(lines, budget, refuses()),
    [Symbol.asyncDispose]: async () => {
      await summaries[Symbol.asyncDispose]();
      summarize();
      await lines[Symbol.asyncDispose]();
    },
  });
}

/** No request waits for a file that accepts nothing at all. Lines are then lost and counted. */
function mustWait(lines: LineFile): boolean {
  return lines.waiting >= AUDIT_QUEUE.full && lines.stuckFor < AUDIT_QUEUE.patience;
}

async function waitForRoom(lines: LineFile): Promise<boolean> {
  const end = performance.now() + AUDIT_QUEUE.patience;
  while (mustWait(lines) && performance.now() < end)
    await lines.progress(AUDIT_QUEUE.patience - lines.stuckFor);
  return true;
}

function stateOf(lines: LineFile, budget: RefusalBudget, refuses: boolean): AuditState {
  const { waiting, lost, trouble } = lines;
  return { waiting, lost, omitted: budget.omitted, ...(trouble !== undefined && { trouble }), refuses };
}

/**
 * True for the only lines that may be omitted. Lines about known subjects and allowed requests are always
 * written.
 */
function isAnonymousRefusal({ decision, subject }: Pick<AuditLine, 'decision' | 'subject'>): boolean {
  return decision === 'deny' && subject === ANONYMOUS_SUBJECT;
}

/** The line that replaces refusals without a line of their own. */
function omittedLine({ address, count, since }: OmittedRefusals): AuditCount {
  return {
    ...{ action: 'omitted', subject: ANONYMOUS_SUBJECT, ...(address !== undefined && { address }) },
    ...{ decision: 'deny', count, since: new Date(since).toISOString() },
  };
}

/**
 * Formats a line as the file has it. `node` is the name of the node in a cluster. `level` is present because
 * earlier versions wrote it.
 */
export function formatAuditLine(line: AuditLine | AuditCount, time: string, node?: string): string {
  const from = node === undefined ? '' : `"node":${JSON.stringify(node)},`;
  const text = `{"level":30,"time":"${time}",${from}${JSON.stringify(line).slice(1)}`;
  // Nearly all lines are ASCII, and JSON has escaped every control character of ASCII except this one.
  const isPlain = Buffer.byteLength(text) === text.length && !text.includes(DELETE);
  return isPlain ? text : escapeControlsInLines(text);
}

const DELETE = '\x7f';

/**
 * Formats milliseconds since the epoch by ISO 8601. Many lines have the same time, so it is formatted only
 * once.
 */
function isoTimes(): (milliseconds: number) => string {
  let last = Number.NaN;
  let text = '';
  return (milliseconds) => {
    if (milliseconds !== last) {
      last = milliseconds;
      text = new Date(milliseconds).toISOString();
    }
    return text;
  };
}

/** True for text that is written as it is. Nearly all user agents are such text. */
function isPlain(text: string): boolean {
  return text.length <= AUDIT_QUEUE.longestAgent && /^[ -~]+$/.test(text);
}

/**
 * Makes free text of a client safe to print: it replaces control characters and characters that change the
 * direction of the text.
 */
function plain(text: string): string {
  return text.slice(0, AUDIT_QUEUE.longestAgent).replace(/[\p{Cc}\p{Cf}]/gu, '?');
}
