/**
 * The record: one JSON line for each decided request, with what an operator needs to account for it. It is told named
 * fields and nothing else, so that no header, body or credential can get into it.
 */
import pino from 'pino';
import { type Logger, SAFE_LINES } from '../../platform/log.ts';

export interface AuditLine {
  /** `pull`: of a manifest or a blob. `tags`, `referrers`, `catalog`: of such a list. `token`: of a token of ours. */
  readonly action: 'pull' | 'tags' | 'referrers' | 'catalog' | 'token';
  /** The same for the requests that are one pull. Of what the core was not asked for there is none. */
  readonly pull?: string;
  /** As the policy calls it; `anonymous` too for whoever showed nothing that is valid. */
  readonly subject: string;
  /** The id of what was shown. */
  readonly credential?: string;
  readonly address: string;
  readonly agent?: string;
  readonly method: string;
  readonly repository?: string;
  /** That was asked for. */
  readonly tag?: string;
  /** That was asked for, or that the tag came to. */
  readonly digest?: string;
  /** Of a token: what was granted. */
  readonly scope?: string;
  readonly rule?: string;
  readonly decision: 'allow' | 'deny';
  readonly status: number;
  readonly bytes?: number;
  /** How the core came to it: `hit`, `revalidated`, `fill`, `joined`, `stale`; `bypass` for an external core. */
  readonly cache?: string;
  /**
   * What the core asked of upstreams for this request and for no other: requests, those for tokens and to where they
   * redirect included, and the pulls that a quota counts. Absent where no core was asked, or one that does not tell.
   */
  readonly upstreamRequests?: number;
  readonly countedPulls?: number;
  readonly milliseconds: number;
}

export interface Audit extends Disposable {
  (line: AuditLine): void;
  /** Opens the file anew, which somebody has renamed. */
  reopen(): void;
}

const MAX_AGENT = 200;

/** Lines that wait for a disk that is full or slow; beyond that they are lost. */
const MAX_WAITING = 1024 * 1024;

/** Opens the record. A file that cannot be written holds up no pull; the log says so. */
export function openAudit(file: string, log: Logger): Audit {
  const destination = pino.destination({
    dest: file,
    append: true,
    mkdir: true,
    mode: 0o640,
    sync: false,
    maxLength: MAX_WAITING,
  });
  let failed = false;
  let ending = false;
  destination.on('error', (error: Error) => {
    // What could not be written until the end is given up; it would keep the process from ending.
    if (ending) return destination.destroy();
    // sonic-boom waits on for the file that could not be opened, and would at the next one close the old one twice: whatever
    // has its number by then.
    destination.removeAllListeners('ready');
    if (!failed) log.error({ file, error: error.message }, 'the audit log cannot be written');
    failed = true;
  });
  destination.on('drain', () => {
    failed = false;
  });
  const turn = new TurnOfLines(destination);
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, hooks: SAFE_LINES }, turn);
  const audit = ({ agent, ...line }: AuditLine) =>
    logger.info({ ...line, ...(agent && { agent: plain(agent) }) });
  return Object.assign(audit, {
    reopen: () => destination.reopen(),
    [Symbol.dispose]: () => {
      turn.end();
      ending = true;
      if (failed) destination.destroy();
      else destination.end();
    },
  });
}

/** Lines of one turn of the event loop, written as one: each write is a task for another thread, and costs more than its lines. */
class TurnOfLines {
  readonly #destination: { write(lines: string): unknown };
  #lines = '';
  #ended = false;

  constructor(destination: { write(lines: string): unknown }) {
    this.#destination = destination;
  }

  write(line: string): void {
    // The destination would throw, where nobody could catch it.
    if (this.#ended) return;
    if (this.#lines === '') setImmediate(() => this.flush());
    this.#lines += line;
  }

  flush(): void {
    if (this.#lines !== '') this.#destination.write(this.#lines);
    this.#lines = '';
  }

  end(): void {
    this.flush();
    this.#ended = true;
  }
}

/** Free text of a client's, made safe to be printed: no control characters, none that turn the direction of reading. */
function plain(text: string): string {
  return text.slice(0, MAX_AGENT).replace(/[\p{Cc}\p{Cf}]/gu, '?');
}
