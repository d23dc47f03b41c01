import { createRequire } from 'node:module';
import { Writable } from 'node:stream';
import pino, { type Logger } from 'pino';
import type pinoPretty from 'pino-pretty';
import { escapeControls, escapeControlsInLines } from './escape-controls.ts';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export const LOG_FORMATS = ['auto', 'json', 'text'] as const;

export interface LogOptions {
  readonly level: (typeof LOG_LEVELS)[number];
  /** `auto`: text on a terminal, else one JSON object a line. */
  readonly format: (typeof LOG_FORMATS)[number];
}

/**
 * A process' log on its standard output. What is logged are named fields that the caller chose: never a request, a
 * header or an options object as a whole, because those can hold secrets.
 */
export function createLogger(name: string, { level, format: wanted }: LogOptions): Logger {
  const text = wanted === 'text' || (wanted === 'auto' && process.stdout.isTTY === true);
  const options = {
    ...{ level, base: { process: name }, timestamp: pino.stdTimeFunctions.isoTime },
    hooks: SAFE_LINES,
  };
  const destination = openStandardOutput((lost) =>
    logger.error({ lost }, 'log lines were lost, because standard output could not be written'),
  );
  const logger = pino(options, text ? prettyOn(destination) : destination);
  return logger;
}

/** The most lines that wait while standard output cannot be written. */
const MAX_WAITING = 1024 * 1024;

/**
 * A log that cannot be written, as on a full disk, ends no role: its lines wait. What is lost beyond a bound is counted, and
 * said as soon as it can be.
 */
function openStandardOutput(sayLost: (lines: number) => void) {
  const destination = pino.destination({ fd: 1, sync: true, maxLength: MAX_WAITING });
  let lost = 0;
  destination.on('error', () => {});
  destination.on('drop', () => {
    lost++;
  });
  destination.on('drain', () => {
    const lines = lost;
    lost = 0;
    if (lines > 0) sayLost(lines);
  });
  return destination;
}

function prettyOn(output: ReturnType<typeof openStandardOutput>) {
  // pino-pretty would stop using a destination that has failed once.
  const destination = new Writable({
    decodeStrings: false,
    write(lines: string, _encoding, done) {
      output.write(lines);
      done();
    },
  });
  // Loaded where there is somebody to read it: a service is spared its memory.
  const pretty: typeof pinoPretty = createRequire(import.meta.url)('pino-pretty');
  return pretty({
    destination,
    sync: true,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname',
    // What stands in a line and in which order is `writeText`'s to say.
    hideObject: true,
    messageFormat: writeText,
  });
}

/** pino escapes only the characters that JSON requires, which are those of C0. */
const SAFE_LINES = { streamWrite: escapeControlsInLines };

/** Fields that a line has otherwise, or first. */
const ELSEWHERE: ReadonlySet<string> = new Set(['level', 'time', 'process', 'msg']);

/**
 * `core: upstream trouble  cause=timeout detail="no answer"`; of lists and of what has several lines, each on one of its
 * own. What others wrote stays in its line, and is no command to a terminal.
 */
export function writeText(line: Readonly<Record<string, unknown>>, messageKey: string): string {
  const fields = Object.entries(line).filter(([name]) => !ELSEWHERE.has(name));
  const long = ([, value]: [string, unknown]) => Array.isArray(value) || String(value).includes('\n');
  const short = fields.filter((field) => !long(field)).map(([name, value]) => `${name}=${writeValue(value)}`);
  const lines = fields
    .filter(long)
    .flatMap(([, value]) => (Array.isArray(value) ? value : String(value).split('\n')));
  const first = [`${line.process}: ${escapeControls(asText(line[messageKey]))}`, short.join(' ')]
    .filter(Boolean)
    .join('  ');
  return [first, ...lines.map((one) => `    ${escapeControls(asText(one))}`)].join('\n');
}

function writeValue(value: unknown): string {
  const text = asText(value);
  return typeof value === 'string' && !/^[\w.:/@+-]+$/.test(text)
    ? escapeControls(JSON.stringify(text))
    : escapeControls(text);
}

function asText(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
