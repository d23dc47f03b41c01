/**
 * The record: one JSON line for each decided request, with what an operator needs to account for it. It is told named
 * fields and nothing else, so that no header, body or credential can get into it.
 */
import pino from 'pino';

export interface AuditLine {
  readonly action: 'pull' | 'token';
  /** As the policy calls it; `anonymous` too for whoever showed nothing that is valid. */
  readonly subject: string;
  /** The id of what was shown. */
  readonly credential?: string;
  readonly address: string;
  readonly agent?: string;
  readonly method: string;
  readonly repository?: string;
  readonly reference?: string;
  readonly digest?: string;
  /** Of a token: what was granted. */
  readonly scope?: string;
  readonly rule?: string;
  readonly decision: 'allow' | 'deny';
  readonly status: number;
  readonly bytes?: number;
  /** How the core came to it: `hit`, `revalidated`, `fill`, `joined`, `stale`; `bypass` for an external core. */
  readonly cache?: string;
  readonly milliseconds: number;
}

export type Audit = ((line: AuditLine) => void) & Disposable;

const MAX_AGENT = 200;

export function openAudit(file: string): Audit {
  const destination = pino.destination({ dest: file, append: true, mkdir: true, mode: 0o640, sync: false });
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  const audit = ({ agent, ...line }: AuditLine) =>
    logger.info({ ...line, ...(agent && { agent: plain(agent) }) });
  return Object.assign(audit, { [Symbol.dispose]: () => destination.end() });
}

/** Free text of a client's, made safe to be printed: no control characters, none that turn the direction of reading. */
function plain(text: string): string {
  return text.slice(0, MAX_AGENT).replace(/[\p{Cc}\p{Cf}]/gu, '?');
}
