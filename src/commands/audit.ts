import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { readSubject, writeSubject } from '../access/subject.ts';
import type { Environment } from '../config/environment.ts';
import { duration } from '../config/values.ts';
import { systemClock } from '../platform/clock.ts';
import { parseImage } from '../registry/image.ts';
import { pathsIn } from './home.ts';
import { loadOrPrint } from './load.ts';
import { type ExitCode, printLine, type Terminal } from './terminal.ts';

export interface AuditOptions {
  readonly home: string;
  readonly json: boolean;
  readonly since: string;
  readonly subject?: string;
  readonly repository?: string;
  readonly denied: boolean;
}

/** As the gateway writes it; fields that are not looked at are printed as they are with `--json`. */
const LINE = z.looseObject({
  time: z.string(),
  action: z.enum(['pull', 'token']),
  subject: z.string(),
  decision: z.enum(['allow', 'deny']),
  status: z.int(),
  address: z.string(),
  method: z.string().optional(),
  repository: z.string().optional(),
  tag: z.string().optional(),
  digest: z.string().optional(),
  rule: z.string().optional(),
  cache: z.string().optional(),
  bytes: z.int().optional(),
});
type Line = z.output<typeof LINE>;

type Wanted = (line: Line) => boolean;

/** Prints what the audit log has, the oldest first. 0, also where there is nothing; 2: bad usage. */
export async function showAudit(
  options: AuditOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const wanted = filterOf(options);
  if ('wrong' in wanted) {
    for (const message of wanted.wrong) printLine(terminal.stderr, `hubgate: ${message}`);
    return 2;
  }
  const config = await loadOrPrint(pathsIn(options.home), environment, terminal, false);
  if (config === undefined) return 2;
  const input = createReadStream(config.log.audit);
  try {
    for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      const line = readLine(text);
      if (line !== undefined && wanted.filter(line))
        printLine(terminal.stdout, options.json ? text : writeLine(line));
    }
    return 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

function filterOf(options: AuditOptions): { readonly filter: Wanted } | { readonly wrong: string[] } {
  const { since, subject, repository, denied } = options;
  const length = duration().safeParse(since).data;
  const who = subject === undefined ? undefined : readSubject(subject);
  const image = repository === undefined ? undefined : parseImage(repository);
  const wrong = [
    length === undefined ? `"${since}" is no duration such as 24h` : [],
    subject !== undefined && who === undefined ? `"${subject}" is no subject` : [],
    repository !== undefined && image === undefined ? `"${repository}" is no repository` : [],
  ].flat();
  if (length === undefined || wrong.length > 0) return { wrong };
  const from = systemClock() - length;
  return {
    filter: (line) =>
      Date.parse(line.time) >= from &&
      (who === undefined || line.subject === writeSubject(who)) &&
      (image === undefined || line.repository === image.repository.name) &&
      (image?.tag === undefined || line.tag === image.tag) &&
      (!denied || line.decision === 'deny'),
  };
}

/** A line that a crash has cut is passed over. */
function readLine(text: string): Line | undefined {
  try {
    return LINE.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function writeLine(line: Line): string {
  const { time, action, subject, decision, status, repository = '', tag, digest, rule, cache, bytes } = line;
  const image =
    tag === undefined ? `${repository}${digest === undefined ? '' : `@${digest}`}` : `${repository}:${tag}`;
  const more = [rule && `rule ${rule}`, cache, bytes !== undefined && `${bytes} bytes`].filter(Boolean);
  return [time, decision.padEnd(5), status, subject, `from ${line.address}`, action, image, ...more]
    .filter((part) => part !== '')
    .join('  ');
}
